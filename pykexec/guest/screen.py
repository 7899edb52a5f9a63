# SPDX-License-Identifier: Apache-2.0
"""What is drawn for the person at the console: lines, choices, a pattern of dots to be scanned.

Dots are half blocks on a terminal of Linux', black on white, two rows a line. UEFI requires the
full block and the light shade alone of a firmware's fonts, so that dots are a bitmap on its screen,
in the corner where text does not begin; where it has text alone, a dot is two full blocks.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from itertools import zip_longest

from pykexec.abi_devices import ConsoleLimit
from pykexec.firmware.console import Matrix, draw, read_console
from pykexec.firmware.mailbox import Mailbox

_QUIET = 4
"""Light dots around a pattern (ISO/IEC 18004, 6.3.8)."""
_MIN_SCALE = 2
_COLUMNS, _ROWS = 80, 24
_LINE_MAX = 4096
_WHITE = 0xFFFFFF
_HALF_BLOCKS = {(False, False): " ", (True, False): "\u2580", (False, True): "\u2584"}
_FULL_BLOCK = "\u2588"
_BLACK_ON_WHITE, _USUAL = "\x1b[0;30;47m", "\x1b[0m"


def say(*lines: str) -> None:
    """Show lines."""
    print(*lines, sep="\n", flush=True)


def choose(choices: Sequence[str]) -> int | None:
    """Show choices, numbered from 1, and take one; None for what is none of them.

    EOFError, OSError where nobody can choose any more.
    """
    say("", *(f" {number}) {choice}" for number, choice in enumerate(choices, 1)))
    answer = input(f"choose 1-{len(choices)}: ").strip()
    return int(answer) if answer in map(str, range(1, len(choices) + 1)) else None


def ask(prompt: str, patience_s: float) -> str:
    """A line that somebody types; EOFError, OSError where nobody does any more, or not in time."""
    import select

    print(prompt, end="", flush=True)
    if not select.select([0], [], [], patience_s)[0]:
        raise EOFError("nobody has typed anything")
    if not (line := os.read(0, _LINE_MAX)):
        raise EOFError("the console is gone")
    return line.decode("ascii", "replace").strip()


def show_matrix(rows: Matrix, mailbox: Mailbox | None, scrolls: bool = False) -> bool:
    """Show a pattern of dots, true is dark, wherever somebody may look: on this console, and on the
    firmware's screen if there is one. False where there is no room for it; scrolls: it may be
    higher than a terminal that does not say how high it is.
    """
    from pykexec.guest.console import sits_at_firmware

    dots = _with_margin(rows)
    is_drawn = mailbox is not None and _draw(dots, mailbox, _WHITE)
    if not sits_at_firmware():
        return _print(_half_blocks(dots), _BLACK_ON_WHITE, scrolls) or is_drawn
    return is_drawn or _print(_full_blocks(dots))


def clear_matrix(rows: Matrix, mailbox: Mailbox | None) -> None:
    """Make the corner black again in which show_matrix() has drawn on the firmware's screen."""
    if mailbox:
        _draw([[False] * len(row) for row in _with_margin(rows)], mailbox, 0)


def _draw(dots: Matrix, mailbox: Mailbox, background: int) -> bool:
    info = read_console(mailbox)
    # A third of the width and half of the height, at most.
    scale = min(info.width // 3, info.height // 2) // len(dots)
    scale = min(scale, ConsoleLimit.BITMAP_SCALE_MAX)
    if scale < _MIN_SCALE or len(dots) > ConsoleLimit.BITMAP_MAX:
        return False
    draw(mailbox, dots, info.width - len(dots[0]) * scale, 0, scale, background=background)
    return True


def _with_margin(rows: Matrix) -> list[list[bool]]:
    width = len(rows[0]) + 2 * _QUIET
    side, edge = [False] * _QUIET, [[False] * width for _ in range(_QUIET)]
    return [*edge, *([*side, *row, *side] for row in rows), *edge]


def _half_blocks(dots: Matrix) -> list[str]:
    light = [False] * len(dots[0])
    pairs = zip_longest(dots[::2], dots[1::2], fillvalue=light)
    return [
        "".join(_HALF_BLOCKS.get(pair, _FULL_BLOCK) for pair in zip(*pair_of_rows, strict=True))
        for pair_of_rows in pairs
    ]


def _full_blocks(dots: Matrix) -> list[str]:
    """Light on the firmware's black."""
    return ["".join("  " if dot else 2 * _FULL_BLOCK for dot in row) for row in dots]


def _print(lines: list[str], colour: str = "", scrolls: bool = False) -> bool:
    columns, nr_rows = _room()
    if len(lines[0]) > (columns or _COLUMNS):
        return False
    if len(lines) >= (nr_rows or _ROWS) and (nr_rows or not scrolls):
        return False
    say(*(f"{colour}{line}{colour and _USUAL}" for line in lines))
    return True


def _room() -> tuple[int, int]:
    """Zeros for a serial line, which does not say what stands at its other end."""
    try:
        columns, rows = os.get_terminal_size(sys.stdout.fileno())
    except OSError:
        columns, rows = 0, 0
    return columns, rows
