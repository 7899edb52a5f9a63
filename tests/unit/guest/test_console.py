# SPDX-License-Identifier: Apache-2.0
"""A console that cannot be written is no console, and nothing waits for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAD = (
    "import os, sys; from pykexec.guest import console; "
    "console.CONSOLE_ACTIVE, console.KERNEL_LOG = sys.argv[1:]; "
)
OPEN = HEAD + "kept = os.dup(1); console.open_console(); "
# /dev/full takes no byte, as a serial port that the machine does not have.
MUTE = "full"


def run(code: str, active: str, path: Path, stdin: int | None = None) -> str:
    """What code writes, in a process whose kernel has these consoles."""
    listed = path / "active"
    listed.write_text(f"{active}\n")
    log = path / "kmsg"
    log.touch()
    words = [sys.executable, "-c", code, str(listed), str(log)]
    done = subprocess.run(words, stdin=stdin, capture_output=True, check=True, timeout=60)
    assert done.stderr == b""
    return done.stdout.decode()


@pytest.mark.parametrize("order", ["{mute} {tty}", "{tty} {mute}", "{mute} {tty} {mute}"])
def test_the_console_is_one_that_can_be_written(order: str, tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    name = os.ttyname(theirs).removeprefix("/dev/")
    tell = "os.write(kept, os.ttyname(1).encode()); print('said'); os.isatty(0) or sys.exit(1)"
    active = order.format(mute=MUTE, tty=name)
    assert run(OPEN + tell, active, tmp_path) == f"/dev/{name}"
    assert os.read(ours, 100) == b"said\r\n"
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("active", ["", MUTE, "no-such-tty", f"no-such-tty {MUTE}"])
def test_without_such_a_console_nobody_sits_there(active: str, tmp_path: Path) -> None:
    tell = "print('said'); os.write(kept, os.readlink('/proc/self/fd/0').encode())"
    assert run(OPEN + tell, active, tmp_path) == "/dev/null"
    assert (tmp_path / "kmsg").read_text() == "said\n"


def test_what_is_said_on_a_console_that_goes_is_lost_and_no_error(tmp_path: Path) -> None:
    talk = """
fd = os.open('/dev/full', os.O_RDWR); os.dup2(fd, 1); os.dup2(fd, 2)
for stream in (sys.stdout, sys.stderr):
    print('x' * 20000, '\\ud800', file=stream, flush=True)
sys.stdout.flush()
console.mirror('\\ud800')
os.write(kept, b'goes on')
"""
    assert run(OPEN + talk, MUTE, tmp_path) == "goes on"


def test_a_terminal_that_hangs_up_is_no_key() -> None:
    ours, theirs = os.openpty()
    code = "from pykexec.guest.console import wait_for_key; print(wait_for_key(40))"
    words = [sys.executable, "-u", "-c", code]
    with subprocess.Popen(words, stdin=theirs, stdout=subprocess.PIPE) as waiting:
        os.close(theirs)
        assert waiting.stdout
        assert waiting.stdout.read(9) == b"\rstarting"
        os.close(ours)
        assert waiting.stdout.read().endswith(b"\nFalse\n")


def test_a_key_is_one() -> None:
    ours, theirs = os.openpty()
    code = "from pykexec.guest.console import wait_for_key; print(wait_for_key(40))"
    words = [sys.executable, "-u", "-c", code]
    with subprocess.Popen(words, stdin=theirs, stdout=subprocess.PIPE) as waiting:
        assert waiting.stdout
        assert waiting.stdout.read(9) == b"\rstarting"
        os.write(ours, b"k")
        assert waiting.stdout.read().endswith(b"\nTrue\n")
    os.close(ours)
    os.close(theirs)


def test_a_terminal_that_hangs_up_does_not_end_who_has_it() -> None:
    ours, theirs = os.openpty()
    said, say = os.pipe()
    code = f"""
import os
from pykexec.guest.console import take_terminal
take_terminal()
os.write(1, b'taken')
while os.isatty(0):
    pass
os.write({say}, b'goes on')
"""
    words = [sys.executable, "-c", code]
    with subprocess.Popen(words, stdin=theirs, stdout=theirs, pass_fds=[say]) as taking:
        os.close(theirs)
        os.close(say)
        assert os.read(ours, 5) == b"taken"
        os.close(ours)
        with os.fdopen(said) as words_of_it:
            assert words_of_it.read() == "goes on"
        assert taking.wait(60) == 0
