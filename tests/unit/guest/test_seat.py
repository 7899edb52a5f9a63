# SPDX-License-Identifier: Apache-2.0
"""The menu at a terminal: drawn, chosen from by what is typed, left as it was found."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import termios
import threading
from collections.abc import Iterator, Sequence

import pytest

from pykexec.guest.seat import sit
from pykexec.guest.watch import Where
from pykexec.menu.state import Chosen, Menu, Row, begin

ROWS = (Row("first", options="quiet"), Row("second"), Row("third"))
ASKED = r"\x1b\[999;999H\x1b\[6n"
Script = Sequence[tuple[str, bytes]]


class Person:
    """Looks at a terminal, and types when something is to be seen there."""

    def __init__(self, size: tuple[int, int] = (0, 0)) -> None:
        self.fd, self.terminal = os.openpty()
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("<4H", size[1], size[0], 0, 0))
        self.seen = ""

    def follow(self, script: Script) -> None:
        """Wait for each of these, then type."""
        at = 0
        for pattern, typed in script:
            while not (match := re.compile(pattern).search(self.seen, at)):
                self.seen += os.read(self.fd, 4096).decode()
            at = match.end()
            os.write(self.fd, typed)

    def sit(self, script: Script, menu: Menu, announce: str = "", where: Where = "") -> Menu:
        """What comes of it."""
        thread = threading.Thread(target=self.follow, args=(script,), daemon=True)
        thread.start()
        found = sit(menu, announce, lambda: where, self.terminal, self.terminal)
        thread.join(60)
        while not self.seen.endswith("\x1b[?25h"):
            self.seen += os.read(self.fd, 4096).decode()
        return found


@pytest.fixture
def person() -> Iterator[Person]:
    made = Person()
    yield made
    os.close(made.fd)
    os.close(made.terminal)


def test_the_second_entry_is_chosen_by_keys(person: Person) -> None:
    before = termios.tcgetattr(person.terminal)
    found = person.sit([("third", b"\x1b[B"), ("second", b"\r")], begin(ROWS), "PK:menu:x:0")
    assert found.chosen == Chosen(1)
    assert person.seen.startswith("\r\nPK:menu:x:0\r\n")
    assert person.seen.endswith("\x1b[0m\x1b[2J\x1b[H\x1b[?25h")
    assert termios.tcgetattr(person.terminal) == before


def test_a_terminal_that_says_how_large_it_is_has_all_of_it_used(person: Person) -> None:
    script = [(ASKED, b"\x1b[40;120R"), (r"\x1b\[40;1H Enter", b"\x0c"), (ASKED, b"\x1b[10;50R")]
    found = person.sit([*script, (r"\x1b\[10;1H Enter", b"\r")], begin(ROWS))
    assert (found.columns, found.lines) == (50, 10)


def test_a_terminal_of_linux_is_not_asked() -> None:
    person = Person((100, 30))
    found = person.sit([("third", b"\r")], begin(ROWS))
    assert (found.columns, found.lines) == (100, 30)
    assert not re.search(ASKED, person.seen)


def test_the_size_of_a_terminal_is_no_key(person: Person) -> None:
    found = person.sit([(ASKED, b"\x1b[24;80R")], begin(ROWS, default=2, left_s=1))
    assert (found.chosen, found.left_s) == (Chosen(2), 0)


def test_an_escape_is_told_from_a_sequence_that_begins_with_it(person: Person) -> None:
    script = [("third", b"/sec"), ("/sec", b"\x1b"), (r"\x1b\[2;1H\x1b\[K", b"\r")]
    assert person.sit(script, begin(ROWS)).chosen == Chosen(1)


def test_a_key_on_another_line_stops_the_time(person: Person) -> None:
    menu = begin(ROWS, default=0, left_s=2)
    stopped = r"\x1b\[23;1H\x1b\[K"
    found = person.sit([(stopped, b"3\r")], menu, where="port")
    assert (found.chosen, found.left_s) == (Chosen(2), None)


def test_who_presses_a_key_elsewhere_has_the_menu_there() -> None:
    first, second = Person(), Person()
    before = termios.tcgetattr(second.terminal)

    def move() -> Where:
        os.dup2(second.terminal, first.terminal)
        return "keyboard"

    typed = threading.Thread(target=second.follow, args=([("third", b"2\r")],), daemon=True)
    typed.start()
    found = sit(begin(ROWS, 0, 30), "said once", move, first.terminal, first.terminal)
    assert found.chosen == Chosen(1)
    assert "said once" not in second.seen
    assert termios.tcgetattr(second.terminal) == before


def test_a_terminal_that_goes_is_nobody() -> None:
    person = Person()

    def look_and_go() -> None:
        person.follow([("third", b"")])
        os.close(person.fd)

    thread = threading.Thread(target=look_and_go, daemon=True)
    thread.start()
    with pytest.raises((OSError, EOFError)):
        sit(begin(ROWS), "", lambda: "", person.terminal, person.terminal)
    thread.join(60)


def test_what_is_no_terminal_is_nobody() -> None:
    ours, theirs = os.pipe()
    with pytest.raises(OSError, match="ioctl"):
        sit(begin(ROWS), "", lambda: "", ours, theirs)
