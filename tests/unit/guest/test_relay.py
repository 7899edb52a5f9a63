# SPDX-License-Identifier: Apache-2.0
"""The firmware's console is a terminal: what is written is shown, what is typed is read."""

from __future__ import annotations

import os
import termios
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from pykexec.abi_devices import ConsoleFlag
from pykexec.firmware.mailbox import Reply, Request
from pykexec.guest import relay
from pykexec.guest.terminal import Terminal
from tests.support.firmware_console import FirmwareConsole

WITHIN_S = 20.0


@contextmanager
def terminal(console: FirmwareConsole, wanted: relay.Wanted = "all") -> Iterator[int]:
    """Programs' end of a terminal on it."""
    ours, theirs = os.openpty()
    ends = Terminal(console.columns, console.rows)
    thread = threading.Thread(target=relay.relay, args=(console, ends, ours, wanted))
    thread.start()
    try:
        yield theirs
    finally:
        os.close(theirs)
        thread.join(WITHIN_S)
        os.close(ours)
    assert not thread.is_alive()


def wait_until(is_so: Callable[[], bool]) -> None:
    """AssertionError if it does not become so."""
    end = time.monotonic() + WITHIN_S
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_what_is_typed_is_echoed_and_read_by_lines() -> None:
    console = FirmwareConsole()
    with terminal(console) as end:
        os.write(end, b"name? ")
        console.type("Ada\b\bnn\n")
        assert os.read(end, 100) == b"Ann\n"
        wait_until(lambda: console.lines == ["name? Ann"])


def test_it_begins_with_a_clear_screen_and_ends_with_its_last_user() -> None:
    console = FirmwareConsole()
    console._put("x")
    with terminal(console) as end:
        os.write(end, b"new")
        wait_until(lambda: console.lines == ["new"])


def test_control_c_interrupts_and_an_arrow_is_a_sequence() -> None:
    console = FirmwareConsole()
    with terminal(console) as end:
        settings = termios.tcgetattr(end)
        settings[3] &= ~(termios.ICANON | termios.ISIG)
        termios.tcsetattr(end, termios.TCSANOW, settings)
        console.typed.extend([(0, "c", 0x80000004), (1, "", 0)])
        wait_until(lambda: not console.typed)
        assert os.read(end, 1) == b"\x03"
        assert os.read(end, 10) == b"\x1b[A"


def test_where_nothing_can_be_typed_nobody_looks_for_keys() -> None:
    console = FirmwareConsole(flags=ConsoleFlag.TEXT)
    console.type("x")
    with terminal(console, "none") as end:
        os.write(end, b"said")
        wait_until(lambda: console.lines == ["said"])
    assert len(console.typed) == 1


def test_beside_a_port_of_linux_keyboards_alone_are_typed_on() -> None:
    console = FirmwareConsole()
    with terminal(console, "keyboards") as end:
        console.type("port")
        console.typed.extend((0, char, 0x80000000) for char in "key\r")
        assert os.read(end, 100) == b"key\n"


def fails(requests: Sequence[Request]) -> list[Reply]:
    """In a way that nobody expects."""
    raise ZeroDivisionError


def test_a_firmware_that_fails_does_not_end_the_terminal(
    capfd: pytest.CaptureFixture[str],
) -> None:
    console = FirmwareConsole()
    works, console.call = console.call, fails  # type: ignore[method-assign]
    with terminal(console) as end:
        os.write(end, b"lost\r\n")
        wait_until(lambda: "ZeroDivisionError" in capfd.readouterr().err)
        console.call = works  # type: ignore[method-assign]
        os.write(end, b"shown")
        wait_until(lambda: "shown" in console.lines[-1])


def test_typing_that_nobody_reads_does_not_keep_words_back() -> None:
    console = FirmwareConsole()
    with terminal(console) as end:
        settings = termios.tcgetattr(end)
        settings[3] &= ~termios.ECHO
        termios.tcsetattr(end, termios.TCSANOW, settings)
        for _ in range(100):
            console.type("x" * 200)
        os.write(end, b"said")
        wait_until(lambda: console.lines[-1] == "said" and not console.typed)


@pytest.mark.parametrize(
    ("flags", "keys"),
    [(ConsoleFlag.TEXT | ConsoleFlag.KEYS, True), (ConsoleFlag.TEXT, False)],
)
def test_a_terminal_is_opened_of_its_size_and_finishes_what_was_said(
    flags: ConsoleFlag, keys: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shown = tmp_path / "shown"

    class Seen(FirmwareConsole):
        """By another process than the one that shows it."""

        def call(self, requests: Sequence[Request]) -> list[Reply]:
            replies = super().call(requests)
            shown.write_text("\n".join(self.lines))
            return replies

    monkeypatch.setattr(relay, "Mailbox", lambda: Seen(flags=flags))
    monkeypatch.setattr(relay, "_SCREEN_OF_LINUX", tmp_path / "none")
    found = relay.firmware_terminal()
    assert found and found.has_keys == keys
    assert os.get_terminal_size(found.fd) == (79, 25)
    os.write(found.fd, b"the last words")
    found.finish()
    assert shown.read_text() == "the last words"
    os.close(found.fd)


@pytest.mark.parametrize("flags", [ConsoleFlag(0), ConsoleFlag.KEYS, ConsoleFlag.SCREEN])
def test_without_text_there_is_no_terminal(
    flags: ConsoleFlag, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "Mailbox", lambda: FirmwareConsole(flags=flags))
    assert relay.firmware_terminal() is None
