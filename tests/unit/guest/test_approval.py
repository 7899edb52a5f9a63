# SPDX-License-Identifier: Apache-2.0
"""The console's QR code is the server's, module by module, and the rest fits beside it."""

from __future__ import annotations

import segno

from pykexec.attest.protocol import Pending
from pykexec.guest.approval import MARGIN, half_blocks, pending_lines

ADDRESS = "https://keys.example:8443/approve/AAAAAAAAAAAAAAAAAAAAAA"
LIGHT = {
    " ": (False, False),
    "\u2580": (True, False),
    "\u2584": (False, True),
    "\u2588": (True, True),
}


def qr() -> tuple[str, ...]:
    matrix = segno.make_qr(ADDRESS, error="l").matrix
    return tuple("".join("1" if module else "0" for module in row) for row in matrix)


def test_half_blocks_show_every_module_and_a_light_margin() -> None:
    rows = qr()
    lines = list(half_blocks(rows))
    drawn = [[LIGHT[block][half] for block in line] for line in lines for half in (0, 1)]
    size = len(rows) + 2 * MARGIN
    assert {len(line) for line in lines} == {size}
    for y in range(size):
        for x in range(size):
            inside = MARGIN <= y < size - MARGIN and MARGIN <= x < size - MARGIN
            dark = inside and rows[y - MARGIN][x - MARGIN] == "1"
            assert drawn[y][x] != dark
    assert not any(any(line) for line in drawn[size:])


def test_all_of_it_fits_a_console_of_80_by_25() -> None:
    pending = Pending(ADDRESS, "BCDF-GHJK", "ticket", 600, 5, "web-1", qr())
    lines = list(pending_lines(pending, "Machine 7"))
    assert len(lines) < 25 and max(map(len, lines)) <= 80
    assert lines[-3:] == [
        "machine:  web-1",
        "open      https://keys.example:8443/approve, or scan",
        "and type  BCDF-GHJK   within 10 min",
    ]


def test_a_server_cannot_write_anything_else_to_the_terminal() -> None:
    pending = Pending("https://a/\x1b[2J/x", "\x1bc", "ticket", 60, 5, "\x1b]0;x\x07")
    text = "\n".join(pending_lines(pending, "\x1b[1m"))
    assert "\x1b" not in text and "\x07" not in text


def test_without_a_name_of_the_servers_the_machine_says_its_own() -> None:
    assert next(iter(pending_lines(Pending("a", "b", "c", 60, 5), "PowerEdge 7"))) == (
        "machine:  PowerEdge 7"
    )
