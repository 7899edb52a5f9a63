# SPDX-License-Identifier: Apache-2.0
"""A terminal on the firmware's ConOut: what programs write, as texts in places and colours.

As much of ECMA-48 as shells, editors and pagers use of a vt100. The firmware scrolls, and wraps
lines at an edge that this terminal stays away from: it is a column narrower than what is there.
"""

from __future__ import annotations

import codecs
import re

from pykexec.firmware.console import Text

_SEQUENCE = re.compile(
    r"\x1b(?:\[([0-?]*)[ -/]*([@-~])|[()][0-9A-Z]|\][^\x07\x1b]*\x07|([=>78cDEHM]))"
)
_UNFINISHED = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|[()]|\][^\x07\x1b]{0,200})?\Z")
# UEFI 2.10, 12.4.6, by the order that terminals have.
_COLOURS = (0, 4, 2, 6, 1, 5, 3, 7)
_BRIGHT = 8
_TAB = 8


class Terminal:
    """Of columns and rows as the firmware has them; the screen is taken to be clear at first."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns - 1, rows
        self._answers = b""
        self._column = self._row = self._bottom = 0
        self._foreground, self._background, self._bold, self._reverse = 7, 0, False, False
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending = ""
        self._run: list[str] = []
        self._texts: list[Text] = []
        self._start = (0, 0)
        self._shown_at: tuple[int, int] | None = None
        self._attribute: int | None = None

    def feed(self, data: bytes) -> list[Text]:
        """What is to be shown for what was written."""
        text = self._pending + self._decoder.decode(data)
        cut = _UNFINISHED.search(text)
        end = cut.start() if cut else len(text)
        text, self._pending = text[:end], text[end:]
        position = 0
        for match in _SEQUENCE.finditer(text):
            self._write(text[position : match.start()])
            self._control(match)
            position = match.end()
        self._write(text[position:])
        self._end_run()
        if self._shown_at != (self._column, self._row):
            self._emit(Text(place=(self._column, self._row)), (self._column, self._row))
        texts, self._texts = self._texts, []
        return texts

    def take_answers(self) -> bytes:
        """What the terminal was asked and says, as if it were typed; once."""
        answers, self._answers = self._answers, b""
        return answers

    def _write(self, text: str) -> None:
        for char in text:
            if char.isprintable():
                self._put(char if char <= "\uffff" else "?")
            elif char == "\r":
                self._append(char, 0, self._row)
            elif char == "\n":
                self._line_feed()
            elif char == "\b" and self._column:
                self._append(char, min(self._column, self.columns) - 1, self._row)
            elif char == "\t":
                for _ in range(_TAB - self._column % _TAB):
                    self._put(" ")

    def _put(self, char: str) -> None:
        if self._column >= self.columns:
            self._append("\r", 0, self._row)
            self._line_feed()
        self._append(char, self._column + 1, self._row)

    def _line_feed(self) -> None:
        self._append("\n", self._column, min(self._row + 1, self.rows - 1))

    def _append(self, char: str, column: int, row: int) -> None:
        if not self._run:
            self._start = (self._column, self._row)
        self._run.append(char)
        self._column, self._row = column, row
        self._bottom = max(self._bottom, row)

    def _end_run(self) -> None:
        if self._run:
            place = None if self._shown_at == self._start else self._start
            self._emit(Text("".join(self._run), place=place), (self._column, self._row))
            self._run = []

    def _emit(self, text: Text, shown_at: tuple[int, int]) -> None:
        """Show text, after which the firmware's cursor is at shown_at."""
        attribute = self._wanted_attribute()
        if attribute != self._attribute:
            text = Text(text.text, attribute, text.clear, text.place, text.cursor)
            self._attribute = attribute
        self._texts.append(text)
        self._shown_at = shown_at

    def _wanted_attribute(self) -> int:
        foreground = _COLOURS[self._foreground] | (_BRIGHT if self._bold else 0)
        background = _COLOURS[self._background]
        if self._reverse:
            foreground, background = background, foreground & ~_BRIGHT
        return background << 4 | foreground

    def _control(self, match: re.Match[str]) -> None:
        self._end_run()
        parameters, final = match[1] or "", match[2]
        if match[3] == "c":
            self._reset()
        elif not final or parameters.startswith(("?", ">")):
            self._mode(parameters, final)
        else:
            numbers = [int(word) if word.isdigit() else 0 for word in parameters.split(";")]
            self._sequence(final, [min(number, 9999) for number in numbers])

    def _reset(self) -> None:
        self._foreground, self._background, self._bold, self._reverse = 7, 0, False, False
        self._move(0, 0)
        self._clear()

    def _mode(self, parameters: str, final: str | None) -> None:
        if parameters == "?25" and final in ("h", "l"):
            place = (self._column, self._row)
            self._emit(Text(place=place, cursor=final == "h"), place)

    def _sequence(self, final: str, numbers: list[int]) -> None:
        first = numbers[0]
        step = max(first, 1)
        if final in "Hf":
            self._move((numbers[1] if len(numbers) > 1 else 1) - 1, first - 1)
        elif final in "ABCD":
            across, down = {"A": (0, -1), "B": (0, 1), "C": (1, 0), "D": (-1, 0)}[final]
            self._move(self._column + across * step, self._row + down * step)
        elif final == "G":
            self._move(first - 1, self._row)
        elif final == "d":
            self._move(self._column, first - 1)
        elif final == "K":
            self._erase_line(self._row, *self._part(first))
        elif final == "J":
            self._erase(first)
        elif final == "m":
            self._colour(numbers)
        elif final == "n" and first == 6:
            self._answers += f"\x1b[{self._row + 1};{self._column + 1}R".encode()

    def _move(self, column: int, row: int) -> None:
        self._column = max(0, min(column, self.columns - 1))
        self._row = max(0, min(row, self.rows - 1))

    def _part(self, which: int) -> tuple[int, int]:
        """Columns of the line: from the cursor on, up to it, or all."""
        ends = {0: (self._column, self.columns), 1: (0, self._column + 1)}
        return ends.get(which, (0, self.columns))

    def _erase_line(self, row: int, start: int, end: int) -> None:
        if end > start:
            self._emit(Text(" " * (end - start), place=(start, row)), (end, row))

    def _erase(self, which: int) -> None:
        if which >= 2 or (which == 0 and (self._column, self._row) == (0, 0)):
            self._clear()
            return
        self._erase_line(self._row, *self._part(which))
        # Below what was ever written there is nothing.
        rows = range(self._row + 1, self._bottom + 1) if which == 0 else range(self._row)
        for row in rows:
            self._erase_line(row, 0, self.columns)
        if which == 0:
            self._bottom = self._row

    def _clear(self) -> None:
        self._emit(Text(clear=True), (0, 0))
        self._bottom = self._row

    def _colour(self, numbers: list[int]) -> None:
        for number in numbers:
            if number == 0:
                self._foreground, self._background, self._bold, self._reverse = 7, 0, False, False
            elif number in (1, 22):
                self._bold = number == 1
            elif number in (7, 27):
                self._reverse = number == 7
            elif 30 <= number <= 37:
                self._foreground = number - 30
            elif 40 <= number <= 47:
                self._background = number - 40
            elif number in (39, 49):
                self._foreground = 7 if number == 39 else self._foreground
                self._background = 0 if number == 49 else self._background
