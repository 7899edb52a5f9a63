# SPDX-License-Identifier: Apache-2.0
"""Keyboards of the firmware's beside a serial port of Linux': who presses a key there is let in.

Both may have the same port: what is typed on it while the firmware looks for keys is the
firmware's, and lost to Linux. So that is not done once somebody types on the port. Its keys come
without modifiers, of which a terminal knows nothing; a keyboard says at least that there are none.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
from collections.abc import Callable
from typing import Literal

from pykexec.firmware.console import read_console, read_keys
from pykexec.firmware.mailbox import Mailbox
from pykexec.memory import available_memory
from pykexec.steps import attempt

_WAIT_MS = 5
_FIRST_AFTER_S, _PERIOD_S = 15.0, 1.0
"""Who drives a machine by its serial port begins at once; a person who finds a screen does not."""
SEAT_ROOM = 24 << 20
"""Bytes that are to be available: with fewer a seat's process would take what a payload needs."""
_TIOCGICOUNT = 0x545D  # asm-generic/ioctls.h
# struct serial_icounter_struct: of its 20 ints the fifth counts what was received.
_COUNTERS = "<20i"
_RECEIVED = 4


Where = Literal["", "port", "keyboard"]


def has_second_seat(mailbox: Mailbox) -> bool:
    """Has the firmware a console at which somebody may sit who does not sit at this one, and Linux
    memory for that?
    """
    from pykexec.guest.console import sits_at_firmware

    if sits_at_firmware() or available_memory() < SEAT_ROOM:
        return False
    info = attempt("console", lambda: read_console(mailbox), None)
    return info is not None and info.is_answerable


def where_typed(mailbox: Mailbox) -> Where:
    """Where keys were pressed that the firmware has, "" if there are none."""
    keys = attempt("keyboard", lambda: read_keys(mailbox, _WAIT_MS), [])
    if any(key.modifiers for key in keys):
        return "keyboard"
    return "port" if keys else ""


def nr_received(fd: int) -> int | None:
    """Bytes that came over this serial port so far; None for what is no such port."""
    try:
        counters = fcntl.ioctl(fd, _TIOCGICOUNT, bytes(struct.calcsize(_COUNTERS)))
    except OSError:
        return None
    received: int = struct.unpack(_COUNTERS, counters)[_RECEIVED]
    return received


def wait_for_keyboard(mailbox: Mailbox, received: Callable[[], int | None]) -> bool:
    """Wait until a key of a keyboard is pressed; False once something was received instead."""
    before = received()
    time.sleep(_FIRST_AFTER_S)
    while before is not None and received() == before:
        if where_typed(mailbox) == "keyboard":
            return True
        time.sleep(_PERIOD_S)
    return False


def offer_second_seat(sit: Callable[[Mailbox], None]) -> None:
    """Have sit() at the firmware's console, in another process, once a key is pressed there."""
    from pykexec.guest.console import open_console, take_terminal

    if os.fork():
        return
    try:
        # What was opened before is locked for both processes at once.
        mailbox = Mailbox()
        if wait_for_keyboard(mailbox, lambda: nr_received(0)):
            open_console("firmware")
            take_terminal()
            sit(mailbox)
    finally:
        os._exit(0)
