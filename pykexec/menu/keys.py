# SPDX-License-Identifier: Apache-2.0
"""What a terminal sends, as keys of the menu and as the size that it says it has."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

ASK_SIZE = "\x1b[999;999H\x1b[6n"
"""Asks where the cursor can go: the answer, which a terminal may owe us, is a Size."""

_SEQUENCE = re.compile(r"\x1b\[([0-9;]{0,16})([A-Za-z~])|\x1bO([A-Z])|(?s:.)")
_UNFINISHED = re.compile(r"\x1b(?:\[[0-9;]{0,16}|O)?\Z")
_FINAL = {"A": "up", "B": "down", "C": "right", "D": "left", "H": "home", "F": "end"}
_NUMBERED = {
    **{"1": "home", "7": "home", "4": "end", "8": "end"},
    **{"3": "delete", "5": "page-up", "6": "page-down"},
}
_CONTROL = {
    **{"\r": "enter", "\n": "enter", "\x1b": "escape", "\b": "backspace", "\x7f": "backspace"},
    **{"\x01": "home", "\x05": "end", "\x0c": "redraw", "\x0e": "down", "\x10": "up"},
    **{"\x15": "clear"},
}


@dataclass(frozen=True, slots=True)
class Size:
    """Of the terminal, in characters."""

    columns: int
    lines: int


Event = str | Size
"""A key, as state.press() takes it, or a size."""


class Decoder:
    """Takes bytes as they come; a sequence may be spread over several of them."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending = ""
        self._is_after_return = False

    @property
    def is_pending(self) -> bool:
        """Has something begun? Unless it goes on at once it was the escape key."""
        return bool(self._pending)

    def feed(self, data: bytes) -> list[Event]:
        """What these bytes are, with those that were kept."""
        text = self._pending + self._decoder.decode(data)
        cut = _UNFINISHED.search(text)
        end = cut.start() if cut else len(text)
        text, self._pending = text[:end], text[end:]
        events = (self._event(match) for match in _SEQUENCE.finditer(text))
        return [event for event in events if event]

    def flush(self) -> list[Event]:
        """Nothing came for a while: what was kept is the escape key, and no sequence."""
        pending, self._pending = self._pending, ""
        return ["escape"] if pending else []

    def _event(self, match: re.Match[str]) -> Event:
        """One of them, "" for what means nothing here: a line feed behind a return, too."""
        was_after, self._is_after_return = self._is_after_return, match[0] == "\r"
        return "" if was_after and match[0] == "\n" else _event(match)


def _event(match: re.Match[str]) -> Event:
    numbers, final, of_pad = match[1], match[2], match[3]
    if final == "R":
        return _size(numbers)
    if final == "~":
        return _NUMBERED.get(numbers.partition(";")[0], "")
    if final or of_pad:
        return _FINAL.get(final or of_pad, "")
    char = match[0]
    return _CONTROL.get(char, "") or (char if char.isprintable() else "")


def _size(numbers: str) -> Event:
    words = numbers.split(";")
    if len(words) != 2 or not all(words):
        return ""
    lines, columns = (min(int(word), 999) for word in words)
    return Size(columns, lines)
