# SPDX-License-Identifier: Apache-2.0
"""What a terminal shows of a menu: that of another project, and the one on a firmware's console."""

from __future__ import annotations

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykexec.firmware.console import show
from pykexec.guest.terminal import Terminal
from pykexec.menu.draw import Frame, end, frame, narrow, update
from pykexec.menu.state import Menu, Row, begin, press, resize
from tests.support.firmware_console import FirmwareConsole
from tests.support.properties import PROPERTY
from tests.unit.menu.test_state import EVENT, FOUR, MANY, after, pressed

COLUMNS, LINES = 80, 25


class Screen:
    """An emulated terminal that has followed a menu."""

    def __init__(self, columns: int = COLUMNS, lines: int = LINES) -> None:
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.Stream(self.screen)
        self._shown = Frame()

    def show(self, menu: Menu) -> Screen:
        """What has changed is sent."""
        picture = frame(menu)
        self._stream.feed(update(self._shown, picture))
        self._shown = picture
        return self

    def end(self) -> Screen:
        """The menu is left."""
        self._stream.feed(end())
        return self

    @property
    def lines(self) -> list[str]:
        """Without blanks at their ends."""
        return [line.rstrip() for line in self.screen.display]

    @property
    def cells(self) -> list[list[tuple[str, bool]]]:
        """Every character, and whether its background is the other one."""
        shown = range(self.screen.columns)
        rows = (self.screen.buffer[y] for y in range(self.screen.lines))
        return [[(row[x].data, row[x].reverse) for x in shown] for row in rows]

    @property
    def reversed(self) -> list[int]:
        """Lines that have another background at their beginning."""
        return [y for y in range(self.screen.lines) if self.screen.buffer[y][0].reverse]


def test_the_selected_entry_is_the_one_with_another_background() -> None:
    screen = Screen()
    for _ in range(3):
        screen.show(begin(FOUR, columns=COLUMNS, lines=LINES))
    assert screen.reversed == [0, 2]
    assert screen.show(pressed(begin(FOUR, lines=LINES), "down")).reversed == [0, 3]


@PROPERTY
@given(st.lists(EVENT, max_size=8))
def test_what_has_changed_makes_the_whole_picture(
    events: list[str | tuple[int, int] | None],
) -> None:
    menu = begin(MANY[:12], 3, 9, columns=COLUMNS, lines=LINES)
    screen = Screen().show(menu)
    for event in events:
        if not isinstance(event, tuple):
            menu = after(menu, event)
            screen.show(menu)
    whole = Screen().show(menu)
    assert screen.cells == whole.cells
    if menu.mode != "list":
        assert (screen.screen.cursor.x, screen.screen.cursor.y) == frame(menu).cursor


@PROPERTY
@given(st.lists(EVENT, max_size=6))
def test_the_firmwares_console_shows_the_same(
    events: list[str | tuple[int, int] | None],
) -> None:
    console, terminal = FirmwareConsole(COLUMNS, LINES), Terminal(COLUMNS, LINES)
    menu = begin(MANY[:12], 3, 9, columns=terminal.columns, lines=terminal.rows)
    shown, screen = Frame(), Screen(COLUMNS - 1, LINES)
    for event in [*events, "down"]:
        if not isinstance(event, tuple):
            menu = after(menu, event)
        texts = terminal.feed(update(shown, frame(menu)).encode())
        show(console, texts)  # type: ignore[arg-type]
        shown = frame(menu)
        screen.show(menu)
    found = ["".join(char for char, _ in row).rstrip() for row in console.cells]
    assert found == screen.lines
    grey = [y for y, row in enumerate(console.cells) if row[0][1] == 0x70]
    assert grey == screen.reversed


def test_another_size_is_drawn_anew() -> None:
    menu = begin(FOUR, columns=COLUMNS, lines=LINES)
    first, second = frame(menu), frame(resize(menu, 60, LINES))
    assert update(first, second).startswith("\x1b[0m\x1b[2J")
    assert update(first, first) == ""


def test_the_cursor_is_where_somebody_types() -> None:
    screen = Screen().show(pressed(begin(FOUR, lines=LINES), "/mem"))
    assert (screen.screen.cursor.x, screen.screen.cursor.y) == (5, 1)
    assert not screen.screen.cursor.hidden
    screen.show(pressed(begin(FOUR, lines=LINES), "e"))
    assert screen.lines[2:4] == [" options of Debian 12:", "   quiet"]
    assert screen.screen.cursor.x == len("   quiet")
    assert screen.show(begin(FOUR, lines=LINES)).screen.cursor.hidden


def test_long_options_are_shown_where_the_cursor_is() -> None:
    menu = pressed(begin((Row("x", options="".join(map(str, range(99)))),)), "e")
    assert Screen().show(menu).lines[3].endswith("9798")
    assert Screen().show(menu).lines[3].startswith(" < ")
    assert Screen().show(press(menu, "home")).lines[3].startswith("   01234")


def test_a_long_name_is_cut_and_its_note_stays() -> None:
    line = Screen().show(begin((Row("n" * 200, "no secrets"),))).lines[2]
    assert line.endswith("nnn...  no secrets")


def test_names_take_a_column_for_each_character() -> None:
    assert narrow("Ubuntu \u00e9\u0416\u03a9") == "Ubuntu \u00e9\u0416\u03a9"
    assert narrow("a\u4e2d\u0301\u202e\x1b[2J\U0001f600\u00ad") == "a????[2J??"


@pytest.mark.parametrize("name", ["\x1b[2J\x1b[Hgone", "a\r\nb", "\x9b2J", "\u202eevil"])
def test_no_name_draws_anything_but_itself(name: str) -> None:
    screen = Screen().show(begin((Row(name), Row("second"))))
    assert screen.lines[0] == " pykexec boot menu"
    assert screen.lines[3] == " 2  second"
    assert "?" in screen.lines[2]


def test_nothing_is_left_of_it() -> None:
    screen = Screen().show(begin(FOUR)).end()
    assert screen.lines == [""] * LINES
    assert not screen.screen.cursor.hidden
