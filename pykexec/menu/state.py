# SPDX-License-Identifier: Apache-2.0
"""The menu as a value, and what a key, a second or another size makes of it: no terminal, no clock.

Keys are single characters or words of KEYS.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

KEYS = (
    *("up", "down", "left", "right", "home", "end", "page-up", "page-down"),
    *("enter", "escape", "backspace", "delete", "clear", "redraw"),
)
COLUMNS_MIN, LINES_MIN = 20, 8
AROUND = 5
"""Lines that are no entries: title, search, two of help, and an empty one."""
OPTIONS_MAX = 2000
"""Characters of options that can be typed."""
SEARCH_MAX = 60
_UNCHANGEABLE = "its options cannot be changed"

Mode = Literal["list", "search", "edit"]


@dataclass(frozen=True, slots=True)
class Row:
    """An entry as it is listed; options are those that may be changed, None if none may."""

    name: str
    note: str = ""
    options: str | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which row, by its index; options are the changed ones, None for those that it has."""

    row: int
    options: str | None = None


@dataclass(frozen=True, slots=True)
class Menu:
    """All that is to be seen, and what was chosen.

    selected counts among shown(), of which top is the first on the screen. search is what names of
    rows that are shown contain; digits what of a number was typed; text and cursor are the options
    that are edited. left_s seconds are left until default is chosen, None if nobody waits.
    """

    rows: tuple[Row, ...]
    columns: int = 80
    lines: int = 24
    selected: int = 0
    top: int = 0
    mode: Mode = "list"
    search: str = ""
    digits: str = ""
    text: str = ""
    cursor: int = 0
    default: int | None = None
    left_s: int | None = None
    message: str = ""
    chosen: Chosen | None = None

    @property
    def shown(self) -> tuple[int, ...]:
        """The indices of rows that match the search."""
        wanted = self.search.casefold()
        return tuple(i for i, row in enumerate(self.rows) if wanted in row.name.casefold())

    @property
    def row(self) -> int | None:
        """The index of the selected row; None where nothing matches."""
        shown = self.shown
        return shown[self.selected] if shown else None

    @property
    def height(self) -> int:
        """How many rows the screen has room for."""
        return max(self.lines - AROUND, 1)


def begin(
    rows: tuple[Row, ...],
    default: int | None = None,
    left_s: int | None = None,
    message: str = "",
    columns: int = 80,
    lines: int = 24,
) -> Menu:
    """A menu with the default selected."""
    menu = Menu(rows, selected=default or 0, default=default, message=message)
    return resize(replace(menu, left_s=left_s if default is not None else None), columns, lines)


def resize(menu: Menu, columns: int, lines: int) -> Menu:
    """The same on a screen of this size; below the smallest something is cut off."""
    return _scrolled(replace(menu, columns=max(columns, COLUMNS_MIN), lines=max(lines, LINES_MIN)))


def tick(menu: Menu) -> Menu:
    """A second has passed."""
    if menu.left_s is None or menu.default is None or menu.chosen:
        return menu
    left_s = max(menu.left_s - 1, 0)
    chosen = None if left_s else Chosen(menu.default)
    return replace(menu, left_s=left_s, chosen=chosen)


def press(menu: Menu, key: str) -> Menu:
    """Somebody is there, and nothing is chosen for him any more; what the key does besides."""
    if menu.chosen:
        return menu
    menu = replace(menu, left_s=None, message="")
    if menu.mode == "edit":
        return _edit(menu, key)
    if menu.mode == "search":
        return _scrolled(_search(menu, key))
    return _scrolled(_list(menu, key))


def _scrolled(menu: Menu) -> Menu:
    """The selected row is on the screen, which is as full as it can be."""
    count = len(menu.shown)
    selected = max(0, min(menu.selected, count - 1))
    top = max(min(menu.top, selected, count - menu.height), selected - menu.height + 1, 0)
    return replace(menu, selected=selected, top=top)


def _moved(menu: Menu, key: str) -> Menu | None:
    """What is selected after a key that moves; None for another one."""
    last = len(menu.shown) - 1
    steps = {"up": -1, "down": 1, "page-up": -menu.height, "page-down": menu.height}
    if key in steps:
        return replace(menu, selected=menu.selected + steps[key], digits="")
    if key in ("home", "end"):
        return replace(menu, selected=0 if key == "home" else last, digits="")
    return None


def _list(menu: Menu, key: str) -> Menu:
    if moved := _moved(menu, key):
        return moved
    if key.isascii() and key.isdigit():
        return _number(menu, key)
    menu = replace(menu, digits="")
    if key == "enter" and menu.row is not None:
        return replace(menu, chosen=Chosen(menu.row))
    if key == "escape":
        return _searched(menu, "")
    if key == "/":
        return replace(_searched(menu, ""), mode="search")
    if key == "e" and menu.row is not None:
        options = menu.rows[menu.row].options
        if options is None:
            return replace(menu, message=_UNCHANGEABLE)
        return replace(menu, mode="edit", text=options, cursor=len(options))
    return menu


def _number(menu: Menu, digit: str) -> Menu:
    """Digits one after the other are a number, as long as there is such a row."""
    for digits in (menu.digits + digit, digit):
        index = int(digits) - 1
        if 0 <= index < len(menu.rows):
            shown = menu.shown
            selected = shown.index(index) if index in shown else menu.selected
            return replace(menu, digits=digits, selected=selected)
    return replace(menu, digits="")


def _searched(menu: Menu, search: str) -> Menu:
    """Another search; the same row is selected if it still matches, else the first that does."""
    before = menu.row
    after = replace(menu, search=search, selected=0, digits="")
    shown = after.shown
    return replace(after, selected=shown.index(before) if before in shown else 0)


def _search(menu: Menu, key: str) -> Menu:
    if moved := _moved(menu, key):
        return moved
    if key == "enter":
        return replace(menu, mode="list")
    if key == "escape":
        return replace(_searched(menu, ""), mode="list")
    if key == "clear":
        return _searched(menu, "")
    if key == "backspace":
        mode: Mode = "search" if menu.search else "list"
        return replace(_searched(menu, menu.search[:-1]), mode=mode)
    if _is_text(key) and len(menu.search) < SEARCH_MAX:
        return _searched(menu, menu.search + key)
    return menu


def _edit(menu: Menu, key: str) -> Menu:
    before, behind = menu.text[: menu.cursor], menu.text[menu.cursor :]
    row = menu.row
    if key == "escape" or row is None:
        return replace(menu, mode="list", text="", cursor=0)
    if key == "enter":
        changed = None if menu.text == menu.rows[row].options else menu.text
        return replace(menu, chosen=Chosen(row, changed))
    if key == "backspace":
        before = before[:-1]
    elif key == "delete":
        behind = behind[1:]
    elif key == "clear":
        before = ""
    elif key in ("left", "right", "home", "end"):
        whole, at = menu.text, menu.cursor
        places = {"left": at - 1, "right": at + 1, "home": 0, "end": len(whole)}
        return replace(menu, cursor=max(0, min(places[key], len(whole))))
    elif _is_text(key) and len(menu.text) < OPTIONS_MAX:
        before += key
    return replace(menu, text=before + behind, cursor=len(before))


def _is_text(key: str) -> bool:
    """A character that a name or options may have: UCS-2 says no others."""
    return len(key) == 1 and key.isprintable() and key <= "\uffff"
