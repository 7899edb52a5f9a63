# SPDX-License-Identifier: Apache-2.0
"""Bridges of kind net: not there yet."""

from __future__ import annotations

from pykexec.bridge import Bridge
from pykexec.firmware.mailbox import Mailbox


def discover(mailbox: Mailbox) -> list[Bridge]:
    """None yet."""
    return []


def serve(bridge: Bridge, stop_fd: int) -> None:
    """Nothing to serve yet."""
