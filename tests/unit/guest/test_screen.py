# SPDX-License-Identifier: Apache-2.0
"""What is drawn for a person: dots on terminals and on the firmware's screen, choices."""

from __future__ import annotations

import os
import sys
from io import StringIO

import pytest

from pykexec.abi_devices import ConsoleFlag
from pykexec.firmware.mailbox import Mailbox
from pykexec.guest import console, screen
from tests.support.firmware_console import FirmwareConsole

PATTERN = [[True, False, True], [True, True, False], [False, False, True]]
SIZE = 3 + 2 * 4


@pytest.fixture(autouse=True)
def of_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    """The console is a line whose other end nobody knows."""
    monkeypatch.setattr(console, "_terminal", None)
    monkeypatch.setattr(os, "get_terminal_size", lambda fd: os.terminal_size((0, 0)))


@pytest.fixture
def of_firmware(monkeypatch: pytest.MonkeyPatch, of_linux: None) -> None:
    """The console is the firmware's."""
    monkeypatch.setattr(console, "_terminal", object())


def as_mailbox(firmware: FirmwareConsole) -> Mailbox:
    """The other end, as the type that is asked."""
    return firmware  # type: ignore[return-value]


def test_a_terminal_of_linux_has_half_blocks_black_on_white(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert screen.show_matrix(PATTERN, None)
    lines = capsys.readouterr().out.splitlines()
    blank = f"\x1b[0;30;47m{' ' * SIZE}\x1b[0m"
    assert lines == [
        blank,
        blank,
        "\x1b[0;30;47m    \u2588\u2584\u2580    \x1b[0m",
        "\x1b[0;30;47m      \u2580    \x1b[0m",
        blank,
        blank,
    ]


def test_the_firmwares_screen_has_a_bitmap_in_its_corner_and_then_none(
    of_firmware: None, capsys: pytest.CaptureFixture[str]
) -> None:
    firmware = FirmwareConsole(pixels=(1280, 800))
    assert screen.show_matrix(PATTERN, as_mailbox(firmware))
    screen.clear_matrix(PATTERN, as_mailbox(firmware))
    (x, y, scale, dots), (_, _, _, cleared) = firmware.drawn
    assert (x, y, scale) == (1280 - SIZE * 36, 0, 36)
    assert dots[3:8] == ["0" * SIZE, "00001010000", "00001100000", "00000010000", "0" * SIZE]
    assert cleared == ["0" * SIZE] * SIZE
    assert capsys.readouterr().out == ""


def test_a_line_that_the_firmware_redirects_has_full_blocks(
    of_firmware: None, capsys: pytest.CaptureFixture[str]
) -> None:
    firmware = FirmwareConsole(flags=ConsoleFlag.KEYS | ConsoleFlag.TEXT)
    assert screen.show_matrix(PATTERN, as_mailbox(firmware))
    lines = capsys.readouterr().out.splitlines()
    light = "\u2588\u2588"
    assert len(lines) == SIZE and lines[0] == light * SIZE
    assert lines[4] == light * 4 + "  " + light + "  " + light * 4
    assert {char for line in lines for char in line} == {" ", "\u2588"}


def test_a_machine_with_both_shows_it_on_both(capsys: pytest.CaptureFixture[str]) -> None:
    firmware = FirmwareConsole()
    assert screen.show_matrix(PATTERN, as_mailbox(firmware))
    assert len(firmware.drawn) == 1
    assert len(capsys.readouterr().out.splitlines()) == 6


@pytest.mark.parametrize("pixels", [(0, 0), (40, 40), (1280, 16)])
def test_a_screen_that_is_too_small_leaves_it_to_text(
    pixels: tuple[int, int], of_firmware: None, capsys: pytest.CaptureFixture[str]
) -> None:
    firmware = FirmwareConsole(pixels=pixels)
    assert screen.show_matrix(PATTERN, as_mailbox(firmware))
    assert (firmware.drawn, len(capsys.readouterr().out.splitlines())) == ([], SIZE)


def test_what_has_no_room_anywhere_is_not_shown(
    of_firmware: None, capsys: pytest.CaptureFixture[str]
) -> None:
    large = [[True] * 40 for _ in range(40)]
    firmware = FirmwareConsole(flags=ConsoleFlag.TEXT)
    assert not screen.show_matrix(large, as_mailbox(firmware))
    assert (firmware.drawn, capsys.readouterr().out) == ([], "")


@pytest.mark.parametrize(
    ("typed", "chosen"), [("1", 1), (" 2 ", 2), ("3", None), ("0", None), ("", None), ("x", None)]
)
def test_a_choice_is_one_of_those_that_are_shown(
    typed: str,
    chosen: int | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "stdin", StringIO(f"{typed}\n"))
    assert screen.choose(("go", "stay")) == chosen
    assert capsys.readouterr().out == "\n 1) go\n 2) stay\nchoose 1-2: "
