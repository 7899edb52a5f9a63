# SPDX-License-Identifier: Apache-2.0
"""The guest's console: made usable without interrupts, and asked for keys."""

from __future__ import annotations

import fcntl
import io
import os
import re
import struct
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TextIO

from pykexec.steps import attempt

if TYPE_CHECKING:
    from pykexec.guest.relay import FirmwareTerminal

CONSOLE_ACTIVE = "/sys/class/tty/console/active"
KERNEL_LOG = "/dev/kmsg"
Whose = Literal["any", "linux", "firmware"]
"""Consoles of Linux' own, where all may write; the firmware's, for who has a session there."""

_SCREEN = re.compile(r"/dev/tty\d+")
_terminal: FirmwareTerminal | None = None
"""What this process and its children sit at, if it is the firmware's."""

# asm-generic/ioctls.h
_TIOCSCTTY = 0x540E
_TIOCNOTTY = 0x5422
_TIOCGSERIAL = 0x541E
_TIOCSSERIAL = 0x541F
# struct serial_struct: type, line, port, irq are its first four ints.
_SERIAL_STRUCT_SIZE = 72
_SERIAL_IRQ_OFFSET = 12


class _Said(io.FileIO):
    """What is written to a console that may be gone: nothing depends on it."""

    def write(self, data: Any, /) -> int:
        """All of data is written as far as anybody has to know."""
        try:
            super().write(data)
        except OSError:
            pass
        return len(memoryview(data).cast("B"))


def open_console(whose: Whose = "any") -> None:
    """Make a console standard input, output and error: the last active one of Linux' own at which
    somebody can sit, or else the firmware's; or that of one of them alone. Who asks for the
    firmware's leaves Linux' port to others.

    One that cannot be written is none, and nobody sits at it. Nobody types where no keyboard is:
    then standard input is /dev/null, and what is said goes to the firmware's ConOut, to a screen of
    Linux' own, or to the kernel's log.
    """
    for fd in range(3):
        _close(fd)
    attempt("console", partial(_open_console, whose), None)
    sys.stdin = attempt(
        "console", lambda: open(0, encoding="utf-8", errors="replace", closefd=False), io.StringIO()
    )
    sys.stdout, sys.stderr = (
        attempt("console", partial(_text, fd), io.StringIO()) for fd in (1, 2)
    )


def _open_console(whose: Whose) -> None:
    # Whatever else is opened now is none of the three.
    for _ in range(3):
        os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    devices = _active_devices()
    screens = [device for device in devices if _SCREEN.fullmatch(device)]
    if whose != "firmware":
        fd = _usable(device for device in reversed(devices) if device not in screens)
        if fd is not None:
            _become(fd, 0, 1, 2)
            return
    open_it = partial(_firmware_terminal, whose == "any")
    if whose != "linux" and (terminal := attempt("console", open_it, None, _unsaid)):
        _become(terminal.fd, *((0, 1, 2) if terminal.has_keys else (1, 2)))
        return
    fd = _usable(screens)
    _become(os.open(KERNEL_LOG, os.O_WRONLY) if fd is None else fd, 1, 2)


def _become(fd: int, *targets: int) -> None:
    for target in targets:
        os.dup2(fd, target)
    os.close(fd)


def _firmware_terminal(from_port: bool) -> FirmwareTerminal | None:
    from pykexec.guest.relay import firmware_terminal

    global _terminal
    _terminal = firmware_terminal(from_port)
    return _terminal


def sits_at_firmware() -> bool:
    """Is this process' console the firmware's?"""
    return _terminal is not None


def finish_console() -> None:
    """Have all shown that was said: Linux ends, and what shows it with it."""
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    if _terminal:
        _terminal.finish()


def _unsaid(line: str) -> None:
    """There is nobody to say it to: this is what somebody would be told on."""


def _text(fd: int) -> TextIO:
    raw = io.BufferedWriter(_Said(fd, "w", closefd=False))
    return io.TextIOWrapper(raw, "utf-8", "backslashreplace", line_buffering=True)


def _usable(devices: Iterable[str]) -> int | None:
    """An open device that takes what is written to it, if there is any.

    The firmware keeps all legacy interrupts, so writes to a serial port fail with EIO until it is
    polled (irq 0); that can be set only while nobody, /dev/console included, has it open. Those to
    a port that the machine does not have fail ever after.
    """
    for device in devices:
        if device.startswith("/dev/ttyS"):
            _poll_if_mute(device)
        try:
            fd = os.open(device, os.O_RDWR | os.O_NOCTTY)
        except OSError:
            continue
        if takes_words(fd):
            return fd
        os.close(fd)
    return None


def takes_words(fd: int) -> bool:
    """Could something be written? Nothing is: a terminal that is none says so all the same."""
    try:
        os.write(fd, b"")
    except OSError:
        return False
    return True


def mirror(text: str) -> None:
    """Show text on the other consoles of the command line: on a screen beside a serial line.

    The firmware's has its own text on that screen.
    """
    if _terminal:
        return
    for device in _active_devices():
        try:
            fd = os.open(device, os.O_WRONLY | os.O_NOCTTY)
        except OSError:
            continue
        try:
            if not os.path.sameopenfile(fd, 1):
                os.write(fd, text.encode(errors="backslashreplace"))
        except OSError:
            pass  # A mute serial port: its reader has the other console.
        finally:
            os.close(fd)


def _active_devices() -> list[str]:
    try:
        with open(CONSOLE_ACTIVE, encoding="ascii") as file:
            return [f"/dev/{name}" for name in file.read().split()]
    except OSError:
        return []


def _close(fd: int) -> None:
    try:
        os.close(fd)
    except OSError:
        pass


def _poll_if_mute(device: str) -> None:
    try:
        fd = os.open(device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return
    try:
        os.write(fd, b"\r\n")
    except OSError:
        _set_polled(fd)
    finally:
        os.close(fd)


def _set_polled(fd: int) -> None:
    settings = bytearray(_SERIAL_STRUCT_SIZE)
    try:
        fcntl.ioctl(fd, _TIOCGSERIAL, settings)
        struct.pack_into("<i", settings, _SERIAL_IRQ_OFFSET, 0)
        fcntl.ioctl(fd, _TIOCSSERIAL, settings)
    except OSError:
        pass  # A mute console must not keep the payload from starting.


def take_terminal() -> None:
    """Lead a session whose controlling terminal is standard input, for job control and Ctrl-C.

    The end of its leader hangs the terminal up for everybody, so the leader is
    the agent, which outlives the shell, and the terminal: one that hangs up does not end it.
    """
    import signal

    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        os.setsid()
        fcntl.ioctl(0, _TIOCSCTTY, 1)
    except OSError:
        pass  # A console that is no terminal, /dev/null for example.


def reclaim_terminal() -> None:
    """Come back to the foreground after a shell, whatever it left there."""
    try:
        os.tcsetpgrp(0, os.getpgrp())
    except OSError:
        pass


def wait_for_key(seconds: int, elsewhere: Callable[[], bool] = lambda: False) -> bool:
    """Was a key pressed within seconds? Shows a countdown.

    The end of what can be read and an error are no keys: nobody is there. elsewhere says each
    second whether somebody has come in another way.
    """
    import select
    import termios
    import tty

    try:
        saved = termios.tcgetattr(0)
        tty.setcbreak(0, termios.TCSAFLUSH)
    except (OSError, termios.error):
        return False
    try:
        for left in range(seconds, 0, -1):
            print(f"\rstarting in {left} s, press a key for the menu ", end="", flush=True)
            if select.select([0], [], [], 1.0)[0]:
                return bool(os.read(0, 64))
            if elsewhere():
                return True
        return False
    except OSError:
        return False
    finally:
        with suppress(OSError, termios.error):
            termios.tcsetattr(0, termios.TCSADRAIN, saved)
        print()


def move_to_firmware() -> None:
    """Sit at the firmware's console from now on, not at that of Linux."""
    with suppress(OSError):
        fcntl.ioctl(0, _TIOCNOTTY)
    open_console("firmware")
    with suppress(OSError):
        fcntl.ioctl(0, _TIOCSCTTY, 1)
