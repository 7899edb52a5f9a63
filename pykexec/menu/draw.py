# SPDX-License-Identifier: Apache-2.0
"""The menu as lines of text, and as what a terminal (ECMA-48, a vt100) has to be sent for them.

Only what has changed is sent: a serial line has a screen's worth in a fifth of a second.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pykexec.menu.state import Menu

TITLE = "pykexec boot menu"
_HELP = {
    "list": "Enter start   / search   e options   digits number   Escape all",
    "search": "Enter keep the search   Escape all",
    "edit": "Enter start with these options   Escape leave them as they were",
}
_START, _END = "\x1b[0m\x1b[2J", "\x1b[0m\x1b[2J\x1b[H\x1b[?25h"
_HIDE, _SHOW = "\x1b[?25l", "\x1b[?25h"


@dataclass(frozen=True, slots=True)
class Line:
    """A line; reverse has another background, for the whole width."""

    text: str
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class Frame:
    """What is to be seen: a line for each of the screen's; the cursor's column and line, if any."""

    lines: tuple[Line, ...] = ()
    cursor: tuple[int, int] | None = None
    columns: int = field(default=0, compare=False)


def frame(menu: Menu) -> Frame:
    """The picture of a menu. The last column stays empty: terminals differ in what follows it."""
    width = menu.columns - 1
    cursor = None
    if menu.mode == "edit":
        middle, cursor = _editor(menu, width)
    else:
        middle = _entries(menu, width)
        if menu.mode == "search":
            cursor = (min(len(_search(menu)), width - 1), 1)
    lines = [Line(_fitted(f" {TITLE}", width).ljust(width), True), Line(_search(menu))]
    lines += middle + [Line("")] * (menu.height - len(middle))
    lines += [Line(""), Line(_status(menu)), Line(f" {_HELP[menu.mode]}")]
    fitted = (Line(_fitted(line.text, width), line.reverse) for line in lines)
    return Frame(tuple(fitted)[: menu.lines], cursor, menu.columns)


def _search(menu: Menu) -> str:
    return f" /{menu.search}" if menu.search or menu.mode == "search" else ""


def _entries(menu: Menu, width: int) -> list[Line]:
    shown = menu.shown
    if not shown:
        return [Line("   nothing matches" if menu.search else "   there is no entry")]
    digits = len(str(len(menu.rows)))
    lines = []
    for place in range(menu.top, min(menu.top + menu.height, len(shown))):
        row = menu.rows[shown[place]]
        name = f" {shown[place] + 1:>{digits}}  {row.name}"
        note = f"  {row.note} " if row.note else ""
        room = max(width - len(note), 0)
        text = f"{_fitted(name, room).ljust(room)}{note}"
        lines.append(Line(text, place == menu.selected))
    return lines


def _editor(menu: Menu, width: int) -> tuple[list[Line], tuple[int, int]]:
    """The options that are edited: as much of them as there is room for, with the cursor in it."""
    name = menu.rows[menu.row].name if menu.row is not None else ""
    room = max(width - 4, 1)
    start = max(menu.cursor - room + 1, 0)
    shown = menu.text[start : start + room]
    lines = [Line(f" options of {name}:"), Line(f" {'<' if start else ' '} {shown}")]
    return lines[: menu.height], (3 + menu.cursor - start, 3)


def _status(menu: Menu) -> str:
    if menu.message:
        return f" {menu.message}"
    if menu.left_s is not None and menu.default is not None:
        return f" starting {menu.rows[menu.default].name} in {menu.left_s} s, a key stops that"
    if menu.digits:
        return f" number {menu.digits}"
    count = len(menu.shown)
    if count > menu.height:
        return f" {menu.selected + 1} of {count}"
    return ""


def _fitted(text: str, width: int) -> str:
    text = narrow(text)
    return text if len(text) <= width else f"{text[: max(width - 3, 0)]}..."[:width]


def narrow(text: str) -> str:
    """text with a question mark for what does not take just one column everywhere."""
    return "".join(char if _is_narrow(char) else "?" for char in text)


def _is_narrow(char: str) -> bool:
    """Latin, Greek and Cyrillic, without combining marks."""
    latin = " " <= char <= "~" or ("\u00a0" < char < "\u0300" and char.isprintable())
    return latin or ("\u0370" <= char < "\u0483" and char.isprintable())


def update(old: Frame, new: Frame) -> str:
    """What turns one picture into another; old without lines is a screen that shows anything."""
    out = []
    if len(old.lines) != len(new.lines) or old.columns != new.columns:
        out.append(_START)
        old = Frame((Line(""),) * len(new.lines))
    for number, (before, line) in enumerate(zip(old.lines, new.lines, strict=True), 1):
        if before != line:
            text = f"\x1b[7m{line.text}\x1b[0m" if line.reverse else line.text
            out.append(f"\x1b[{number};1H{text}\x1b[K")
    if new.cursor:
        column, line_number = new.cursor
        out.append(f"\x1b[{line_number + 1};{column + 1}H{_SHOW}")
    elif out or old.cursor:
        out.append(f"{_HIDE}\x1b[{len(new.lines)};1H")
    return "".join(out)


def end() -> str:
    """What leaves the screen clear."""
    return _END
