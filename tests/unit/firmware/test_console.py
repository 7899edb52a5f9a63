# SPDX-License-Identifier: Apache-2.0
"""What is asked of the firmware's console, and what its answers mean."""

from __future__ import annotations

import pytest

from pykexec.abi_devices import ConsoleFlag
from pykexec.errors import FirmwareError
from pykexec.firmware.console import Key, Text, draw, read_console, read_keys, show
from pykexec.firmware.mailbox import Mailbox, Request
from tests.support.firmware_console import FirmwareConsole


def as_mailbox(console: object) -> Mailbox:
    """The other end, as the type that is asked."""
    return console  # type: ignore[return-value]


def test_which_parts_there_are() -> None:
    whole = read_console(as_mailbox(FirmwareConsole()))
    assert (whole.columns, whole.rows, whole.width, whole.height) == (80, 25, 1280, 800)
    assert whole.is_answerable and whole.has_screen
    for flags in (ConsoleFlag.KEYS, ConsoleFlag.TEXT | ConsoleFlag.SCREEN, ConsoleFlag(0)):
        part = read_console(as_mailbox(FirmwareConsole(flags=flags)))
        assert not part.is_answerable


def test_keys_and_what_is_held_with_them() -> None:
    console = FirmwareConsole()
    console.typed.extend([(0, "a", 0), (1, "", 0x80000001), (0, "\u20ac", 0x80000010)])
    keys = [Key(0, "a", 0), Key(1, "", 0x80000001), Key(0, "\u20ac", 0x80000010)]
    assert read_keys(as_mailbox(console), 10) == keys
    assert read_keys(as_mailbox(console)) == []


def test_texts_are_shown_in_order_and_more_than_fit_in_one_message() -> None:
    console = FirmwareConsole()
    show(as_mailbox(console), [Text("x", place=(n % 80, n // 80)) for n in range(300)])
    assert console.lines == ["x" * 80] * 3 + ["x" * 60]
    show(as_mailbox(console), [Text("done", attribute=0x1F, clear=True, cursor=False)])
    assert (console.lines, console.cursor_shown) == (["done"], False)
    assert console.cells[0][0] == ("d", 0x1F)


def test_a_text_that_the_firmware_refuses_is_an_error() -> None:
    with pytest.raises(FirmwareError, match="firmware console"):
        show(as_mailbox(FirmwareConsole()), [Text("x", place=(80, 0))])


def test_dots_are_packed_from_the_left() -> None:
    console = FirmwareConsole()
    rows = [[column % 3 == 0 for column in range(10)], [True] * 10]
    draw(as_mailbox(console), rows, 5, 6, 7)
    assert console.drawn == [(5, 6, 7, ["1001001001", "1111111111"])]


def test_half_a_key_is_no_answer() -> None:
    class Broken:
        def ask(self, request: Request) -> bytes:
            return bytes(12)

    with pytest.raises(FirmwareError, match="12 bytes of keys"):
        read_keys(as_mailbox(Broken()))
