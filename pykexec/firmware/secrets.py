# SPDX-License-Identifier: Apache-2.0
"""Secrets in Linux' memory: the stub is told, and wipes that memory when Linux ends."""

from __future__ import annotations

from pykexec.abi import Op
from pykexec.firmware.mailbox import Mailbox, Request


def announce(mailbox: Mailbox) -> None:
    """Say, before the first secret comes, that Linux' memory is to be wiped at its end.

    Whatever the end is, a payload, a reset or a panic, everything that Linux could write to is
    zeroed before the next image runs; it cannot be taken back. FirmwareError if it is not granted:
    then no secret may come.
    """
    mailbox.ask(Request(Op.SECRETS, "announce secrets"))
