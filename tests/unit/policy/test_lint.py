# SPDX-License-Identifier: Apache-2.0
"""policy lint: what may be a mistake is told, and what is none is not."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pykexec.policy import parse_policy
from pykexec.policy.lint import doubts

ANY = 'version = 1\nname = "p"\nallow_any_image = true\n'
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
RATE = '[[rates]]\nname = "{}"\ncount = {}\nwithin_s = {}\n'


def window(start: str, end: str, more: str = "") -> str:
    head = '[[windows]]\nname = "w"\nzone = "Europe/Berlin"\n'
    return f'{head}from = "{start}"\nto = "{end}"\n{more}\n'


SKIPPED = ["windows.w: does not take place on 2027-03-28: the clocks skip it"]
LONGER = [
    "windows.w: takes 3 h 00 min on 2027-03-28: the clocks are set",
    "windows.w: takes 5 h 00 min on 2027-10-31: the clocks are set",
]
OVER = [
    "windows.w: all of its dates are over",
    "windows: none begins within a year: they refuse every boot",
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (window("02:15", "02:45"), SKIPPED),
        (window("02:15", "02:45", 'days = ["mon"]'), []),
        (window("02:00", "06:00"), LONGER),
        (window("22:00", "02:00", 'days = ["fri"]'), []),
        (window("08:00", "09:00", 'dates = ["2026-11-21"]'), OVER),
        ('[networks]\nn = ["0.0.0.0/0"]\n[origin]\nnetworks = ["n"]\n',
         ["networks.n: every address is in it"]),
        ('[networks]\nn = ["10.0.0.0/8"]\n', ["networks.n: nothing asks for it"]),
        ('[networks]\nn = ["10.0.0.0/8"]\n[origin]\nby_site = true\n', []),
        (RATE.format("hard", 5, 3600) + RATE.format("soft", 9, 60),
         ["rates.soft: never reached before hard is"]),
        (RATE.format("hard", 50, 3600) + RATE.format("soft", 9, 60), []),
        ('[[outdated]]\nname = "o"\nversions = ["1"]\nuntil = "2026-11-21"\n',
         ["outdated.o: refused since 2026-11-21; allow it no more at all"]),
        ('[[outdated]]\nname = "o"\nversions = ["1"]\nuntil = "2026-11-22"\n', []),
    ],
)  # fmt: skip
def test_a_doubt_is_a_line(text: str, expected: list[str]) -> None:
    assert list(doubts(parse_policy((ANY + text).encode(), "p"), NOW)) == expected
