# SPDX-License-Identifier: Apache-2.0
"""Turns build/payloads.json into a page's table: python -m tests.payload_table [PAGE].

With a page it replaces the lines between the two marks there, else it prints them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

from pykexec.run import run
from pykexec.vm.ovmf import VERSIONS
from tests.vm.payloads import PAYLOADS
from tests.vm.results import FILE, Result, read_results

BEGIN, END = "<!-- payloads: begin -->", "<!-- payloads: end -->"


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


def stamp(file: Path, root: Path = Path(__file__).parents[1]) -> str:
    """When the results in file were found and, in a git checkout, at which commit."""
    when = f"Made on {date.fromtimestamp(file.stat().st_mtime)}"
    if not (root / ".git").exists():
        return f"{when}."
    commit = run(["git", "rev-parse", "--short", "HEAD"], cwd=root).decode().strip()
    return f"{when} at commit {commit}."


def replaced(document: str, lines: Sequence[str]) -> str:
    """document with lines between its marks; ValueError if a mark is missing."""
    begin = document.index(BEGIN) + len(BEGIN)
    end = document.index(END, begin)
    return document[:begin] + "\n" + "".join(f"{line}\n" for line in lines) + document[end:]


def main(words: Sequence[str]) -> int:
    """Print the table, or put it into the file that words names."""
    lines = [*table(read_results(FILE)), "", stamp(FILE)]
    if not words:
        print("\n".join(lines))
        return 0
    page = Path(words[0])
    page.write_text(replaced(page.read_text(), lines))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
