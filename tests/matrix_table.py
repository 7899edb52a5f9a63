# SPDX-License-Identifier: Apache-2.0
"""What `make test-all` ran, as a table: python -m tests.matrix_table JUNIT.xml... [PAGE.md].

A row for each test that has cases. One that a later file has again counts as it went there, and
the last line says so. With a page it replaces the lines between the two marks there, else it prints
them.
"""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.marked import put, stamp

NAME = "matrix"
_NAME = re.compile(r"test_(?P<test>\w+)(?:\[(?P<case>.*)\])?", re.DOTALL)
_FAULTS = ("failure", "error", "skipped")


@dataclass(frozen=True, slots=True)
class Case:
    """One test with one set of parameters, "" when it has none."""

    test: str
    case: str
    passed: bool
    again: bool = False


def cases(document: ElementTree.Element) -> Iterator[tuple[str, Case]]:
    """Those of a JUnit document, each with the file that its test is in."""
    for element in document.iter("testcase"):
        if match := _NAME.fullmatch(element.get("name", "")):
            passed = all(element.find(fault) is None for fault in _FAULTS)
            case = Case(match["test"].replace("_", " "), match["case"] or "", passed)
            yield element.get("classname", ""), case


def last(runs: Iterable[tuple[str, Case]]) -> list[Case]:
    """How each case went when it was run last; runs are of a test's file and one of its cases."""
    found: dict[tuple[str, str, str], Case] = {}
    for file, each in runs:
        key = file, each.test, each.case
        found[key] = replace(each, again=True) if key in found else each
    return list(found.values())


def table(found: Sequence[Case], when: str) -> Iterator[str]:
    """The lines: the tests that have cases; how many there are in all, and when they were run."""
    yield "| what | cases |"
    yield "|---|---|"
    by_test: dict[str, list[Case]] = {}
    for each in found:
        by_test.setdefault(each.test, []).append(each)
    for test, rows in by_test.items():
        if rows[0].case:
            yield f"| {test} | {', '.join(map(_cell, rows))} |"
    bad = sum(not each.passed for each in found)
    again = sum(each.again for each in found)
    outcome = f"{bad} of them failed" if bad else "all of them passed"
    outcome += f", {again} when run again" if again else ""
    yield ""
    yield f"{len(found)} cases in virtual machines, {when}: {outcome}."


def _cell(each: Case) -> str:
    text = each.case.replace("|", "\\|").replace("\n", " ")
    return f"`{text}`{'' if each.passed else ' ✗'}"


def main(words: Sequence[str]) -> int:
    """Print the table of the JUnit files, or put it into the page, which words name."""
    files = [Path(word) for word in words if word.endswith(".xml")]
    found = last(run for file in files for run in cases(ElementTree.parse(file).getroot()))
    put(NAME, list(table(found, stamp(files[-1]))), words[len(files) :])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
