# SPDX-License-Identifier: Apache-2.0
"""Results of kernel tests as their log has them: KTAP (Documentation/dev-tools/ktap.rst)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

_BEGIN = re.compile(r"^( *)KTAP version \d+$")
_PLAN = re.compile(r"^( *)1\.\.(\d+)$")
_RESULT = re.compile(r"^( *)(ok|not ok) \d+ (?:- )?([^# ]+) *(?:# *(.*))?$")


@dataclass(frozen=True, slots=True)
class Report:
    """Tests and suites by what became of them, and what is missing."""

    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Suite:
    depth: int
    planned: int | None = None  # tests of many parameters have no plan
    nr_results: int = 0


def parse(lines: Iterable[str]) -> Report:
    """The results in a log, at every depth; lines that are not KTAP do not matter."""
    report = Report()
    suites: list[_Suite] = []

    def end(depth: int, name: str) -> None:
        while suites and suites[-1].depth > depth:
            suite = suites.pop()
            if suite.planned is not None and suite.planned != suite.nr_results:
                report.missing.append(f"{name}: {suite.nr_results} of {suite.planned} results")

    for line in lines:
        if match := _BEGIN.match(line):
            end(len(match[1]) - 1, "end")
            suites.append(_Suite(len(match[1])))
        elif (match := _PLAN.match(line)) and suites:
            suites[-1].planned = int(match[2])
        elif match := _RESULT.match(line):
            depth, name, directive = len(match[1]), match[3], match[4] or ""
            end(depth, name)
            if suites:
                suites[-1].nr_results += 1
            kind = report.skipped if directive.upper().startswith("SKIP") else report.passed
            (report.failed if match[2] == "not ok" else kind).append(name)
    end(-1, "end")
    return report
