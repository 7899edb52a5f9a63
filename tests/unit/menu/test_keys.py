# SPDX-License-Identifier: Apache-2.0
"""Keys by what terminals send for them, whole or in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykexec.firmware.console import Key
from pykexec.guest.keys import terminal_input
from pykexec.menu.keys import Decoder, Event, Size
from pykexec.menu.state import KEYS
from tests.support.properties import PROPERTY

SENT: dict[bytes, list[Event]] = {
    b"\x1b[A\x1b[B\x1b[C\x1b[D": ["up", "down", "right", "left"],
    b"\x1bOA\x1bOB": ["up", "down"],
    b"\x1b[H\x1b[F\x1b[1~\x1b[4~\x1b[7~\x1b[8~": ["home", "end"] * 3,
    b"\x1b[5~\x1b[6~\x1b[3~": ["page-up", "page-down", "delete"],
    b"\x1b[1;5A": ["up"],
    b"\r\r\n\n\r": ["enter"] * 4,
    b"\x7f\b\x15\x0c": ["backspace", "backspace", "clear", "redraw"],
    b"/e1 ": ["/", "e", "1", " "],
    "\u00e4\u20ac".encode(): ["\u00e4", "\u20ac"],
    b"\x1b[25;80R": [Size(80, 25)],
    b"\x1b[99999;2R": [Size(2, 999)],
    b"\x1b[R\x1b[1;2;3R\x1b[;R": [],
    b"\x1b\x1b[A": ["escape", "up"],
    b"\x1bx": ["escape", "x"],
    b"\x1b[15~\x00\x07\x1b[Z": [],
    b"\xff": ["\ufffd"],
}


@pytest.mark.parametrize(("sent", "events"), SENT.items(), ids=map(repr, SENT))
def test_what_is_sent_is_a_key_or_a_size(sent: bytes, events: list[Event]) -> None:
    assert Decoder().feed(sent) == events


def test_an_escape_is_one_when_nothing_follows() -> None:
    decoder = Decoder()
    assert (decoder.feed(b"\x1b"), decoder.is_pending) == ([], True)
    assert (decoder.flush(), decoder.is_pending) == (["escape"], False)
    assert decoder.flush() == []
    assert decoder.feed(b"[A") == ["[", "A"]


@PROPERTY
@given(st.lists(st.sampled_from([*SENT, b"\x1b", b"\x1b[", b"\x1b[1;", b"\xe2\x82"])))
def test_it_is_the_same_byte_by_byte(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    whole, bytewise = Decoder(), Decoder()
    events = whole.feed(data)
    assert [event for byte in data for event in bytewise.feed(bytes([byte]))] == events
    assert whole.is_pending == bytewise.is_pending


@PROPERTY
@given(st.binary(max_size=200))
def test_noise_is_keys_that_the_menu_knows(data: bytes) -> None:
    decoder = Decoder()
    for event in [*decoder.feed(data), *decoder.flush()]:
        assert isinstance(event, Size) or event in KEYS or (len(event) == 1 and event.isprintable())


@pytest.mark.parametrize(
    ("scan_code", "key"),
    [
        (1, "up"),
        (2, "down"),
        (5, "home"),
        (6, "end"),
        (9, "page-up"),
        (10, "page-down"),
        (8, "delete"),
    ],
)
def test_keys_of_the_firmware_are_the_same(scan_code: int, key: str) -> None:
    assert Decoder().feed(terminal_input([Key(scan_code, "")])) == [key]
