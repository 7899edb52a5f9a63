# SPDX-License-Identifier: Apache-2.0
"""The firmware's console as a terminal of Linux: a pty, and a process between both.

Linux has no driver for a keyboard, and the firmware has one for every keyboard that it knows, on
whatever line it redirects its console to. Keyboards are looked at by the firmware's timers, so it
gets its share of the processor: more of it while somebody types.
"""

from __future__ import annotations

import fcntl
import math
import os
import select
import signal
import struct
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from pykexec.abi_devices import ConsoleFlag
from pykexec.firmware.console import Text, read_console, read_keys, show
from pykexec.firmware.mailbox import Mailbox
from pykexec.guest.keys import terminal_input
from pykexec.guest.terminal import Terminal
from pykexec.steps import attempt

_TIOCSWINSZ = 0x5414  # asm-generic/ioctls.h
_READ_SIZE = 4096
_GREY_ON_BLACK = 0x07
_SHARES = ((1.0, 25, 0.015), (30.0, 10, 0.02), (math.inf, 10, 0.1))
"""So many seconds after a key the firmware waits so many ms for the next one, so that its timers
run, and Linux has the processor in between, in seconds. A USB keyboard says one thing in each of
the firmware's ticks of 10 ms, two for a key and two for Shift; it is held down for longer than the
last of these pauses.
"""
_HIDE_CURSOR = b"\x1b[?25l"
_SCREEN_OF_LINUX = "/dev/tty0"


Wanted = Literal["none", "keyboards", "all"]
"""Whose keys are typed at a terminal."""


@dataclass(frozen=True, slots=True)
class FirmwareTerminal:
    """An open terminal on the firmware's console, and the process behind it. Without keys it is to
    be read alone.
    """

    fd: int
    pid: int
    has_keys: bool

    def finish(self) -> None:
        """Have all shown that was written so far; the terminal is of no use afterwards."""
        with suppress(OSError):
            os.kill(self.pid, signal.SIGTERM)
            os.waitpid(self.pid, 0)


def firmware_terminal(from_port: bool = True) -> FirmwareTerminal | None:
    """A terminal on the firmware's console; None where that has no text.

    Without from_port keys count that know their modifiers, as a keyboard's do: where Linux has a
    serial port, what comes over it is not meant for who sits here. The process ends when nobody has
    the terminal open any more. NotResidentError without a mailbox.
    """
    mailbox = Mailbox()
    info = read_console(mailbox)
    if ConsoleFlag.TEXT not in info.flags:
        mailbox.close()
        return None
    wanted: Wanted = "none"
    if info.is_answerable:
        wanted = "all" if from_port else "keyboards"
    ours, theirs = os.openpty()
    terminal = Terminal(info.columns, info.rows)
    size = struct.pack("<4H", terminal.rows, terminal.columns, 0, 0)
    fcntl.ioctl(theirs, _TIOCSWINSZ, size)
    # For good in the other process, which looks whether one waits.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM,))
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(ours)
        mailbox.close()
        return FirmwareTerminal(theirs, pid, info.is_answerable)
    try:
        os.close(theirs)
        _hide_cursor_of_linux()
        attempt("console", lambda: relay(mailbox, terminal, ours, wanted), None)
    finally:
        os._exit(0)


def relay(mailbox: Mailbox, terminal: Terminal, ours: int, wanted: Wanted) -> None:
    """Show what is written to the other end of the pty, and write there what is typed, until that
    end is closed, or a SIGTERM waits: what was written before it is shown.
    """
    os.set_blocking(ours, False)
    _show(mailbox, [Text(attribute=_GREY_ON_BLACK, clear=True, cursor=True)])
    typed_at = time.monotonic()
    while True:
        ends = signal.SIGTERM in signal.sigpending()
        if not _show_written(mailbox, terminal, ours) or ends:
            return
        idle_s = time.monotonic() - typed_at
        wait_ms, pause_s = next(share for limit_s, *share in _SHARES if idle_s < limit_s)
        if wanted != "none" and (typed := _typed(mailbox, int(wait_ms), wanted)):
            typed_at = time.monotonic()
            _type(ours, typed)
        select.select([ours], [], [], pause_s)


def _show_written(mailbox: Mailbox, terminal: Terminal, ours: int) -> bool:
    """False once nobody has the other end open."""
    while True:
        try:
            data = os.read(ours, _READ_SIZE)
        except BlockingIOError:
            return True
        except OSError:
            return False  # EIO
        _show(mailbox, terminal.feed(data))
        _type(ours, terminal.take_answers())


def _typed(mailbox: Mailbox, wait_ms: int, wanted: Wanted) -> bytes:
    keys = attempt("keyboard", lambda: read_keys(mailbox, wait_ms), [])
    return terminal_input(key for key in keys if wanted == "all" or key.modifiers)


def _show(mailbox: Mailbox, texts: list[Text]) -> None:
    attempt("console", lambda: show(mailbox, texts), None)


def _type(ours: int, typed: bytes) -> None:
    """Who does not read what is typed loses it, as with any keyboard."""
    with suppress(BlockingIOError):
        os.write(ours, typed)


def _hide_cursor_of_linux() -> None:
    """It blinks on the same screen."""
    with suppress(OSError), open(_SCREEN_OF_LINUX, "wb", buffering=0) as screen:
        screen.write(_HIDE_CURSOR)
