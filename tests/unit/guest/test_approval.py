# SPDX-License-Identifier: Apache-2.0
"""The console's QR code is the server's, module by module, and the rest fits below it."""

from __future__ import annotations

import os
import re

import pytest
import segno

from pykexec.attest.protocol import Pending
from pykexec.errors import FirmwareError
from pykexec.firmware.mailbox import Mailbox
from pykexec.guest import approval, console
from pykexec.guest.approval import pending_lines, shown
from tests.support.firmware_console import FirmwareConsole

ADDRESS = "https://keys.example:8443/approve/AAAAAAAAAAAAAAAAAAAAAA"
MARGIN = 4
DARK = {
    " ": (False, False),
    "\u2580": (True, False),
    "\u2584": (False, True),
    "\u2588": (True, True),
}
LINES = [
    "machine:  web-1",
    "open      https://keys.example:8443/approve, or scan",
    "and type  BCDF-GHJK   within 10 min",
]


@pytest.fixture(autouse=True)
def of_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    """The console is a line whose other end nobody knows."""
    monkeypatch.setattr(console, "_terminal", None)
    monkeypatch.setattr(os, "get_terminal_size", lambda fd: os.terminal_size((0, 0)))


def qr() -> tuple[str, ...]:
    matrix = segno.make_qr(ADDRESS, error="l").matrix
    return tuple("".join("1" if module else "0" for module in row) for row in matrix)


def waiting() -> Pending:
    return Pending(ADDRESS, "BCDF-GHJK", "ticket", 600, 5, "web-1", qr())


def firmware_console() -> tuple[FirmwareConsole, Mailbox]:
    firmware = FirmwareConsole(pixels=(1280, 800))
    return firmware, firmware  # type: ignore[return-value]


def test_every_module_is_shown_in_a_light_margin_on_80_by_24(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = qr()
    with shown(waiting(), "Machine 7", firmware_console()[1]):
        pass
    printed = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in capsys.readouterr().out.splitlines()]
    lines, rest = printed[:-3], printed[-3:]
    assert rest == LINES
    assert len(printed) <= 24 and max(map(len, printed)) <= 80
    drawn = [[DARK[block][half] for block in line] for line in lines for half in (0, 1)]
    size = len(rows) + 2 * MARGIN
    assert {len(line) for line in lines} == {size}
    for y, row in enumerate(drawn):
        for x, dark in enumerate(row):
            inside = MARGIN <= y < size - MARGIN and MARGIN <= x < size - MARGIN
            assert dark == (inside and rows[y - MARGIN][x - MARGIN] == "1")


def test_the_firmwares_screen_has_it_as_long_as_it_is_waited_for() -> None:
    firmware, mailbox = firmware_console()
    with shown(waiting(), "Machine 7", mailbox):
        assert len(firmware.drawn) == 1
    (*_, drawn), (*_, cleared) = firmware.drawn
    assert any("1" in row for row in drawn) and not any("1" in row for row in cleared)


def test_a_screen_that_cannot_be_drawn_on_hinders_no_approval(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> bool:
        raise FirmwareError(5, "no", "console")

    monkeypatch.setattr(approval, "show_matrix", fail)
    monkeypatch.setattr(approval, "clear_matrix", fail)
    with shown(waiting(), "Machine 7", firmware_console()[1]):
        pass
    assert capsys.readouterr().out.splitlines() == LINES


def test_a_server_cannot_write_anything_else_to_the_terminal() -> None:
    pending = Pending("https://a/\x1b[2J/x", "\x1bc", "ticket", 60, 5, "\x1b]0;x\x07")
    text = "\n".join(pending_lines(pending, "\x1b[1m"))
    assert "\x1b" not in text and "\x07" not in text


def test_without_a_name_of_the_servers_the_machine_says_its_own() -> None:
    assert next(iter(pending_lines(Pending("a", "b", "c", 60, 5), "PowerEdge 7"))) == (
        "machine:  PowerEdge 7"
    )
