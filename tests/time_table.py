# SPDX-License-Identifier: Apache-2.0
"""Where the time of a run went, by file of tests: python -m tests.time_table build/junit/*.xml."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tests.conftest import CPU_SECONDS


@dataclass(frozen=True, slots=True)
class Cost:
    """What tests took: seconds by the clock, and of processors (those of their children, too)."""

    nr_tests: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.nr_tests + other.nr_tests, self.wall_s + other.wall_s, self.cpu_s + other.cpu_s
        )

    def __str__(self) -> str:
        return f"{self.nr_tests:6} {self.wall_s:9.1f} {self.cpu_s:9.1f}"


def costs(documents: Iterable[ElementTree.Element]) -> dict[str, Cost]:
    """By file, what the tests of these JUnit documents took."""
    found: dict[str, Cost] = {}
    for document in documents:
        for case in document.iter("testcase"):
            cpu_s = sum(
                float(each.get("value", 0))
                for each in case.iter("property")
                if each.get("name") == CPU_SECONDS
            )
            name = case.get("classname", "")
            found[name] = found.get(name, Cost()) + Cost(1, float(case.get("time", 0)), cpu_s)
    return found


def table(found: dict[str, Cost]) -> Iterator[str]:
    """A line for each file, what took longest first, and the sum."""
    yield f"{'tests':>6} {'seconds':>9} {'processor':>9}"
    for name, cost in sorted(found.items(), key=lambda each: each[1].cpu_s, reverse=True):
        yield f"{cost} {name}"
    yield f"{sum(found.values(), Cost())} all"


def main(words: Sequence[str]) -> int:
    """Print the table of the JUnit files that words name."""
    for line in table(costs(ElementTree.parse(word).getroot() for word in words)):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
