# SPDX-License-Identifier: Apache-2.0
"""What keys, seconds and sizes make of a menu, one by one and in any order."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykexec.menu.draw import Frame, frame
from pykexec.menu.state import KEYS, Chosen, Menu, Row, begin, press, resize, tick
from tests.support.properties import PROPERTY

FOUR = (
    Row("Debian 12", options="quiet"),
    Row("Debian 13", "attested", options=""),
    Row("Memory test"),
    Row("Rescue shell", "no secrets"),
)
MANY = tuple(Row(f"entry {number}", options="ro") for number in range(1, 1001))


def pressed(menu: Menu, *keys: str) -> Menu:
    """After these keys; a word that is no key is typed."""
    for word in keys:
        for key in [word] if word in KEYS else word:
            menu = press(menu, key)
    return menu


CHOICES = {
    "the first": (["enter"], Chosen(0)),
    "by arrows": (["down", "down", "up", "enter"], Chosen(1)),
    "not beyond the ends": (["up", *["down"] * 9, "enter"], Chosen(3)),
    "the last": (["end", "enter"], Chosen(3)),
    "by its number": (["3", "enter"], Chosen(2)),
    "a number that is none": (["9", "enter"], Chosen(0)),
    "another number": (["3", "2", "enter"], Chosen(1)),
    "by a search": (["/MEM", "enter", "enter"], Chosen(2)),
    "within a search": (["/deb", "down", "enter", "enter"], Chosen(1)),
    "a search taken back": (["/debx", "backspace", "enter", "enter"], Chosen(0)),
    "a search left": (["/mem", "escape", "enter"], Chosen(2)),
    "a search for nothing": (["/nothing", "enter", "enter"], None),
    "a search left by deleting it": (["/m", "backspace", "backspace", "4", "enter"], Chosen(3)),
    "changed options": (["e", " single", "enter"], Chosen(0, "quiet single")),
    "options as they were": (["e", "x", "backspace", "enter"], Chosen(0)),
    "options cleared": (["e", "clear", "enter"], Chosen(0, "")),
    "options changed in the middle": (["e", "home", "delete", "Q", "enter"], Chosen(0, "Quiet")),
    "options that were empty": (["2", "e", "s", "left", "1", "enter"], Chosen(1, "1s")),
    "options left": (["e", "x", "escape", "enter"], Chosen(0)),
    "options that may not be changed": (["4", "e", "xyz", "enter"], Chosen(3)),
}


@pytest.mark.parametrize(("keys", "chosen"), CHOICES.values(), ids=CHOICES.keys())
def test_keys_choose(keys: list[str], chosen: Chosen | None) -> None:
    assert pressed(begin(FOUR), *keys).chosen == chosen


def test_that_options_cannot_be_changed_is_said_until_the_next_key() -> None:
    refused = pressed(begin(FOUR), "end", "e")
    assert refused.message == "its options cannot be changed"
    assert press(refused, "up").message == ""


def test_the_default_is_selected_and_chosen_when_its_time_has_come() -> None:
    menu = begin(FOUR, default=2, left_s=3)
    assert (menu.row, tick(tick(menu)).chosen) == (2, None)
    assert tick(tick(tick(menu))).chosen == Chosen(2)


@pytest.mark.parametrize("key", ["redraw", "up", "x", "escape"])
def test_any_key_stops_the_time(key: str) -> None:
    menu = press(begin(FOUR, default=0, left_s=1), key)
    for _ in range(5):
        menu = tick(menu)
    assert menu.chosen is None


def test_without_a_default_no_time_runs() -> None:
    menu = begin(FOUR, left_s=1)
    assert menu.left_s is None
    assert tick(menu).chosen is None


def test_a_thousand_entries_scroll() -> None:
    menu = begin(MANY, columns=80, lines=25)
    assert (menu.height, menu.top) == (20, 0)
    assert pressed(menu, *["down"] * 19).top == 0
    assert pressed(menu, *["down"] * 20).top == 1
    paged = pressed(menu, "page-down", "page-down")
    assert (paged.selected, paged.top) == (40, 21)
    assert pressed(paged, "up").top == 21
    last = pressed(menu, "end")
    assert (last.selected, last.top) == (999, 980)
    assert pressed(menu, "7", "4", "2").row == 741
    found = pressed(menu, "/99")
    assert found.shown == tuple(i for i in range(1000) if "99" in str(i + 1))
    assert found.top == 0


def test_a_smaller_screen_still_shows_what_is_selected() -> None:
    menu = pressed(begin(MANY, lines=25), *["down"] * 15)
    small = resize(menu, 40, 10)
    assert (small.selected, small.top, small.height) == (15, 11, 5)
    assert resize(small, 40, 1000).top == 5


SOME_KEY = st.one_of(
    st.sampled_from(KEYS), st.sampled_from(["/", "e", "1", "0", "9", "a", "n"]), st.characters()
)
EVENT = st.one_of(SOME_KEY, st.none(), st.tuples(st.integers(-3, 300), st.integers(-3, 100)))
NAMES = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=120)
ROWS = st.lists(
    st.builds(Row, NAMES, st.sampled_from(["", "no secrets"]), st.none() | st.text(max_size=200)),
    max_size=15,
).map(tuple)


def after(menu: Menu, event: str | tuple[int, int] | None) -> Menu:
    """A key, a size, or a second."""
    if event is None:
        return tick(menu)
    return press(menu, event) if isinstance(event, str) else resize(menu, *event)


@PROPERTY
@given(ROWS, st.lists(EVENT, max_size=20), st.integers(0, 3))
def test_whatever_happens_a_menu_can_be_drawn_and_chooses_what_it_shows(
    rows: tuple[Row, ...], events: list[str | tuple[int, int] | None], left_s: int
) -> None:
    menu = begin(rows, 0 if rows else None, left_s + 1)
    for event in events:
        before = menu
        menu = after(menu, event)
        shown = menu.shown
        assert 0 <= menu.top <= menu.selected < max(len(shown), menu.selected + 1)
        assert menu.selected < menu.top + menu.height
        assert menu.selected < max(len(shown), 1)
        assert 0 <= menu.cursor <= len(menu.text)
        check_picture(frame(menu), menu)
        if menu.chosen and not before.chosen:
            check_choice(menu.chosen, before, event)
            assert after(menu, "enter") == menu


def check_picture(picture: Frame, menu: Menu) -> None:
    """It fits, and has no character that moves a cursor."""
    assert len(picture.lines) == menu.lines
    for line in picture.lines:
        assert len(line.text) < menu.columns
        assert line.text.isprintable()
    if picture.cursor:
        assert picture.cursor[0] < menu.columns and picture.cursor[1] < menu.lines


def check_choice(chosen: Chosen, before: Menu, event: str | tuple[int, int] | None) -> None:
    """By Enter it is what was selected, by the time what nobody has kept from it."""
    if event is None:
        assert (chosen, before.left_s) == (Chosen(before.default or 0), 1)
        return
    assert event == "enter"
    assert chosen.row == before.row
    if chosen.options is not None:
        assert before.mode == "edit"
        options = before.rows[chosen.row].options
        assert options is not None and chosen.options == before.text != options


@PROPERTY
@given(ROWS, st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=10))
def test_a_search_shows_what_has_it_and_forgets_nothing(rows: tuple[Row, ...], text: str) -> None:
    menu = press(begin(rows), "/")
    for char in text:
        menu = press(menu, char)
    typed = "".join(char for char in text if char <= "\uffff").casefold()
    assert [rows[i].name for i in menu.shown] == [
        row.name for row in rows if typed in row.name.casefold()
    ]
    assert press(menu, "escape").shown == tuple(range(len(rows)))


@PROPERTY
@given(st.integers(1, 1000))
def test_every_entry_is_chosen_by_its_number(number: int) -> None:
    menu = pressed(begin(MANY), *str(number), "enter")
    assert menu.chosen == Chosen(number - 1)


def test_options_end_where_none_fit_any_more() -> None:
    menu = replace(pressed(begin(FOUR), "e"), text="x" * 2000, cursor=2000)
    assert press(menu, "y").text == "x" * 2000
