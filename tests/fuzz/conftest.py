# SPDX-License-Identifier: Apache-2.0
"""What a run of the fuzzers came to, in a line at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from tests.fuzz.run import Fuzzed

_PROPERTY = "fuzzed"
Record = Callable[[Fuzzed], None]


@pytest.fixture
def record(record_property: Callable[[str, object], None]) -> Record:
    """Keeps what a target's run came to, in the JUnit file too."""

    def keep(fuzzed: Fuzzed) -> None:
        values = (f"{fuzzed.cpu_s:.2f}", fuzzed.executions, fuzzed.slow)
        record_property(_PROPERTY, " ".join(map(str, values)))

    return keep


def summary(reports: Iterable[pytest.TestReport]) -> str:
    """The line; "" where no target ran."""
    found = [
        str(value).split()
        for report in reports
        for name, value in report.user_properties
        if name == _PROPERTY and report.when == "call"
    ]
    total = sum((Fuzzed(float(s), int(n), int(m)) for s, n, m in found), Fuzzed())
    if not found:
        return ""
    line = f"{len(found)} targets, {total.cpu_s / 60:.1f} minutes of the processor"
    line += f", {total.executions} executions"
    return line + (f", {total.slow} slow by the clock alone" if total.slow else "")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Of the workers' tests, too."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    if line := summary(reports):
        terminalreporter.write_line(f"fuzzed: {line}")
