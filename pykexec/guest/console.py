# SPDX-License-Identifier: Apache-2.0
"""The guest's console: made usable without interrupts, and asked for keys."""

from __future__ import annotations

import fcntl
import os
import struct
import sys

CONSOLE_ACTIVE = "/sys/class/tty/console/active"

# asm-generic/ioctls.h
_TIOCSCTTY = 0x540E
_TIOCGSERIAL = 0x541E
_TIOCSSERIAL = 0x541F
# struct serial_struct: type, line, port, irq are its first four ints.
_SERIAL_STRUCT_SIZE = 72
_SERIAL_IRQ_OFFSET = 12


def open_console() -> None:
    """Make the last active console standard input, output and error.

    The firmware keeps all legacy interrupts, so writes to a serial port fail
    with EIO until it is polled (irq 0); that can be set only while nobody,
    /dev/console included, has it open.
    """
    for fd in range(3):
        _close(fd)
    device = console_device()
    if device.startswith("/dev/ttyS"):
        _poll_if_mute(device)
    fd = _open(device)
    for target in range(3):
        if fd == target:
            os.set_inheritable(fd, True)  # Python opens everything close-on-exec.
        else:
            os.dup2(fd, target)
    if fd > 2:
        os.close(fd)
    sys.stdin = open(0, encoding="utf-8", errors="replace", closefd=False)
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", closefd=False)
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", closefd=False)


def console_device() -> str:
    """The device behind /dev/console: the last word of the kernel's list."""
    devices = _active_devices()
    return devices[-1] if devices else "/dev/null"


def mirror(text: str) -> None:
    """Show text on the other consoles of the command line: on a screen beside a serial line."""
    for device in _active_devices()[:-1]:
        try:
            fd = os.open(device, os.O_WRONLY | os.O_NOCTTY)
        except OSError:
            continue
        try:
            os.write(fd, text.encode())
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


def _open(device: str) -> int:
    try:
        return os.open(device, os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return os.open("/dev/null", os.O_RDWR)


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
    the agent, which outlives the shell.
    """
    import signal

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


def wait_for_key(seconds: int) -> bool:
    """Was a key pressed within seconds? Shows a countdown."""
    import select
    import termios
    import tty

    try:
        saved = termios.tcgetattr(0)
    except termios.error:
        return False
    tty.setcbreak(0, termios.TCSAFLUSH)
    try:
        for left in range(seconds, 0, -1):
            print(f"\rstarting in {left} s, press a key for the menu ", end="", flush=True)
            if select.select([0], [], [], 1.0)[0]:
                os.read(0, 64)
                return True
        return False
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, saved)
        print()
