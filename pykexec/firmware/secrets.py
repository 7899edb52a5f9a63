# SPDX-License-Identifier: Apache-2.0
"""Secrets in Linux' memory: the stub is told, and wipes that memory when Linux ends."""

from __future__ import annotations

import os

from pykexec.abi import Op
from pykexec.errors import FirmwareError
from pykexec.firmware.mailbox import Mailbox, Request

PANIC_TIMEOUT = "/proc/sys/kernel/panic"


def announce(mailbox: Mailbox) -> None:
    """Say, before the first secret comes, that Linux' memory is to be wiped at its end.

    Whatever the end is, a payload, a reset or a panic, everything that Linux could write to is
    zeroed before the next image runs; it cannot be taken back. FirmwareError if it is not granted:
    then no secret may come.
    """
    mailbox.ask(Request(Op.SECRETS, "announce secrets"))
    try:
        # A kernel that panics would stand still for ever, and keep them.
        with open(PANIC_TIMEOUT, "w", encoding="ascii") as file:
            file.write("-1\n")
    except OSError as error:
        code = error.errno or 0
        raise FirmwareError(code, os.strerror(code), PANIC_TIMEOUT) from None
