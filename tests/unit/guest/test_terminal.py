# SPDX-License-Identifier: Apache-2.0
"""A terminal on the firmware's console: what stands there after what was written, keys as bytes."""

from __future__ import annotations

import pytest

from pykexec.firmware.console import Key, show
from pykexec.guest.keys import terminal_input
from pykexec.guest.terminal import Terminal
from tests.support.firmware_console import FirmwareConsole

WIDE = "x" * 79


def screen(*written: bytes, columns: int = 80, rows: int = 25) -> FirmwareConsole:
    """The firmware's console after this."""
    console, terminal = FirmwareConsole(columns, rows), Terminal(columns, rows)
    for data in written:
        show(console, terminal.feed(data))  # type: ignore[arg-type]
    return console


SHOWN = {
    "lines": (b"one\r\n  two\r\n", ["one", "  two"], (0, 2)),
    "a line that is written over": (b"abc\rX\r\n", ["Xbc"], (0, 1)),
    "backspace": (b"abc\b\bX", ["aXc"], (2, 0)),
    "backspace at the left edge": (b"a\r\n\bb", ["a", "b"], (1, 1)),
    "tabs": (b"a\tb\t\tc", ["a       b               c"], (25, 0)),
    "bells are not seen": (b"a\ab", ["ab"], (2, 0)),
    "a long line goes on below": (WIDE.encode() + b"yz", [WIDE, "yz"], (2, 1)),
    "a full line ends there": (WIDE.encode() + b"\r\nz", [WIDE, "z"], (1, 1)),
    "cursor": (b"\x1b[3;5Hx\x1b[A\x1b[2Dy\x1b[Bz\x1b[1;1Hq", ["q", "   y", "    z"], (1, 0)),
    "cursor stays on the screen": (b"\x1b[99;999Hx", [""] * 24 + [" " * 78 + "x"], (79, 24)),
    "to the end of the line": (b"abcdef\x1b[4D\x1b[K", ["ab"], (2, 0)),
    "the whole line": (b"abcdef\x1b[2D\x1b[2Kx", ["    x"], (5, 0)),
    "to the end of the screen": (b"one\r\ntwo\r\nthree\x1b[1;3H\x1b[J", ["on"], (2, 0)),
    "all of it": (b"one\r\ntwo\x1b[2Jx", ["", "   x"], (4, 1)),
    "reset": (b"one\x1bctwo", ["two"], (3, 0)),
    "a column, a row": (b"\x1b[5Gx\x1b[3dy", ["    x", "", "     y"], (6, 2)),
    "titles and unknown sequences": (
        b"a\x1b]0;title\x07\x1b[?2004h\x1b(Bb\x1b[5;6r",
        ["ab"],
        (2, 0),
    ),
    "what UCS-2 cannot say": ("\u00e4\u2588\U0001f600".encode(), ["\u00e4\u2588?"], (3, 0)),
    "what is no UTF-8": (b"a\xffb", ["a\ufffdb"], (3, 0)),
}


@pytest.mark.parametrize(("written", "lines", "cursor"), SHOWN.values(), ids=SHOWN.keys())
def test_what_stands_there(written: bytes, lines: list[str], cursor: tuple[int, int]) -> None:
    console = screen(written)
    assert console.lines == lines
    assert console.cursor == cursor


@pytest.mark.parametrize(("written", "lines", "cursor"), SHOWN.values(), ids=SHOWN.keys())
def test_it_is_the_same_when_it_comes_byte_by_byte(
    written: bytes, lines: list[str], cursor: tuple[int, int]
) -> None:
    console = screen(*(bytes([byte]) for byte in written))
    assert (console.lines, console.cursor) == (lines, cursor)


def test_a_full_screen_scrolls() -> None:
    written = b"".join(b"line %d\r\n" % number for number in range(40))
    expected = [f"line {number}" for number in range(16, 40)]
    assert screen(written).lines == expected
    assert screen(*written.splitlines(keepends=True)).lines == expected
    assert screen(b"\x1b[25;79Hxy", rows=25).lines == [""] * 23 + [" " * 78 + "x", "y"]


def test_a_prompt_is_edited_as_busybox_does_it() -> None:
    edited = b"pykexec# ech hi\b\b\b\x1b[Jo hi\b\b\b\x1b[K hi"
    assert screen(b"\r\n" * 30, edited).lines[-1] == "pykexec# echo hi"


def test_colours_are_the_firmwares() -> None:
    console = screen(b"a\x1b[1;31;44mb\x1b[0;7mc\x1b[27md\x1b[32;39;49me\x1b[mf")
    attributes = [attribute for _, attribute in console.cells[0][:6]]
    assert attributes == [0x07, 0x1C, 0x70, 0x07, 0x07, 0x07]


def test_the_cursor_is_hidden_and_shown() -> None:
    assert not screen(b"\x1b[?25l").cursor_shown
    assert screen(b"\x1b[?25l", b"\x1b[?25h").cursor_shown


def test_it_tells_where_the_cursor_is_once() -> None:
    terminal = Terminal(80, 25)
    terminal.feed(b"\x1b[7;9H\x1b[6n")
    assert (terminal.take_answers(), terminal.take_answers()) == (b"\x1b[7;9R", b"")


def test_whatever_is_written_is_shown_within_the_screen() -> None:
    noise = bytes(range(256)) * 4 + b"".join(
        b"\x1b[%d;%d%c" % (n * 7919 % 10**6, n * 104729 % 10**6, final)
        for n, final in enumerate(range(0x40, 0x7F))
    )
    console = screen(noise, *(noise[n : n + 13] for n in range(0, len(noise), 13)))
    assert console.cursor[0] < 80 and console.cursor[1] < 25


CONTROL, LEFT_ALT, RIGHT_ALT, SHIFT = 0x80000008, 0x80000020, 0x80000010, 0x80000001
KEYS = {
    "letters": ([Key(0, "a"), Key(0, "B", SHIFT)], b"aB"),
    "enter, tab, erase": ([Key(0, "\r"), Key(0, "\t"), Key(0, "\b")], b"\r\t\x7f"),
    "control": ([Key(0, "c", CONTROL), Key(0, "D", CONTROL), Key(0, "\x1a")], b"\x03\x04\x1a"),
    "control and what is no letter": ([Key(0, "1", CONTROL)], b"1"),
    "alt": ([Key(0, "f", LEFT_ALT), Key(0, "@", RIGHT_ALT)], b"\x1bf@"),
    "arrows": ([Key(n, "") for n in (1, 2, 3, 4)], b"\x1b[A\x1b[B\x1b[C\x1b[D"),
    "others": ([Key(n, "") for n in (5, 6, 8, 0x0B, 0x17)], b"\x1b[H\x1b[F\x1b[3~\x1bOP\x1b"),
    "what terminals do not have": ([Key(0x7F, ""), Key(0, "")], b""),
    "characters": ([Key(0, "\u20ac")], "\u20ac".encode()),
    "half of one": ([Key(0, "\ud800")], b"?"),
}


@pytest.mark.parametrize(("keys", "sent"), KEYS.values(), ids=KEYS.keys())
def test_keys_are_what_a_terminal_sends(keys: list[Key], sent: bytes) -> None:
    assert terminal_input(keys) == sent
