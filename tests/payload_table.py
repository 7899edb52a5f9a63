# SPDX-License-Identifier: Apache-2.0
"""Turns build/payloads.json into a page's table: python -m tests.payload_table [PAGE].

With a page it replaces the lines between the two marks there, else it prints them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from pykexec.vm.ovmf import VERSIONS
from tests.marked import put, stamp
from tests.vm.payloads import PAYLOADS
from tests.vm.results import FILE, Result, read_results

NAME = "payloads"


def table(results: Sequence[Result]) -> Iterator[str]:
    """The table's lines: a row for each payload, a column for each firmware."""
    yield f"| payload | what it does | {' | '.join(f'OVMF {v}' for v in VERSIONS)} |"
    yield f"|---|---|{'---|' * len(VERSIONS)}"
    for name, payload in PAYLOADS.items():
        cells = [_cell([r for r in results if (r["payload"], r["firmware"]) == (name, v)])
                 for v in VERSIONS]  # fmt: skip
        yield f"| {payload.title} | {payload.shows} | {' | '.join(cells)} |"


def _cell(results: Sequence[Result]) -> str:
    """Our starts by loader kernel, then the firmware's own, as the comparison."""
    ours = [r for r in results if r["route"] == "kexec"]
    direct = {r["passed"] for r in results if r["route"] == "direct"}
    words = [f"{_word(r['passed'])} from {r['loader'].split('-')[0]}" for r in ours]
    words += [f"{_word(passed)} directly" for passed in direct]
    return ", ".join(words) or "not run"


def _word(passed: bool) -> str:
    return "✓" if passed else "✗"


def main(words: Sequence[str]) -> int:
    """Print the table, or put it into the page that words name."""
    put(NAME, [*table(read_results(FILE)), "", f"Made {stamp(FILE)}."], words)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
