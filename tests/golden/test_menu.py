# SPDX-License-Identifier: Apache-2.0
"""The boot menu's pictures: a terminal's of 80 x 25, and a firmware's screen of 1024 x 768.

The second one is the docs'. Both are made anew by `python -m tests.support.menu_picture`, and
`python -m tests.golden.test_menu`.
"""

from __future__ import annotations

from pathlib import Path

import pyte

from pykexec.menu.draw import Frame, frame, update
from tests.support.menu_picture import PICTURE, example_menu, pixels, read_png

TERMINAL = Path(__file__).parent / "menu-80x25.txt"
COLUMNS, LINES = 80, 25


def screen() -> list[str]:
    """The lines of a terminal; those with another background between bars."""
    emulated = pyte.Screen(COLUMNS, LINES)
    pyte.Stream(emulated).feed(update(Frame(), frame(example_menu(COLUMNS, LINES))))
    marks = ["|" if emulated.buffer[y][0].reverse else " " for y in range(LINES)]
    lines = zip(marks, emulated.display, strict=True)
    return [f"{mark}{line}{mark}".rstrip() for mark, line in lines]


def test_a_terminal_shows_the_golden_picture() -> None:
    assert screen() == TERMINAL.read_text().split("\n")[:-1]


def test_a_firmwares_screen_shows_the_golden_picture() -> None:
    assert pixels() == read_png(PICTURE.read_bytes())


if __name__ == "__main__":
    TERMINAL.write_text("\n".join([*screen(), ""]))
