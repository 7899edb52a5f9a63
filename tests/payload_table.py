# SPDX-License-Identifier: Apache-2.0
"""Turns build/payloads.json into a page's table: python -m tests.payload_table [PAGE].

With a page it replaces the lines between the two marks there, else it prints them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence

from pykexec.vm import packages
from pykexec.vm.ovmf import NEWEST, VERSIONS
from pykexec.vm.packages import Package
from tests.marked import put, stamp
from tests.vm.payloads import PAYLOADS
from tests.vm.results import FILE, Result, read_results

NAME = "payloads"


def table(results: Sequence[Result]) -> Iterator[str]:
    """The table's lines: a row for each payload, a column for each firmware."""
    firmwares = {version: version for version in VERSIONS}
    firmwares[NEWEST] = packages.version(packages.FIRMWARES[NEWEST])
    yield f"| payload | what it does | {' | '.join(f'OVMF {v}' for v in firmwares.values())} |"
    yield f"|---|---|{'---|' * len(firmwares)}"
    for name, payload in PAYLOADS.items():
        cells = [_cell([r for r in results if (r["payload"], r["firmware"]) == (name, v)])
                 for v in firmwares]  # fmt: skip
        words = [_dated(text, payload.newest) for text in (payload.title, payload.shows)]
        yield f"| {' | '.join([*words, *cells])} |"


def _dated(text: str, newest: Package | None) -> str:
    """text with the version that the newest one has today."""
    return re.sub(r"\bsid\b", packages.version(newest), text) if newest else text


def _cell(results: Sequence[Result]) -> str:
    """Our starts by loader kernel, then the firmware's own, as the comparison."""
    ours = [r for r in results if r["route"] == "kexec"]
    direct = {r["passed"] for r in results if r["route"] == "direct"}
    words = [f"{_word(r['passed'])} from {_kernel(r['loader'])}" for r in ours]
    words += [f"{_word(passed)} directly" for passed in direct]
    return ", ".join(words) or "not run"


def _kernel(loader: str) -> str:
    package = packages.KERNELS[loader]
    return packages.version(package) if package.suite == packages.SID else loader.split("-")[0]


def _word(passed: bool) -> str:
    return "✓" if passed else "✗"


def main(words: Sequence[str]) -> int:
    """Print the table, or put it into the page that words name."""
    put(NAME, [*table(read_results(FILE)), "", f"Made {stamp(FILE)}."], words)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
