# SPDX-License-Identifier: Apache-2.0
"""Rules for every test: in CI nothing may be skipped, and what each costs is written down."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

CPU_SECONDS = "cpu_seconds"
_AT_START = pytest.StashKey[float]()


def _cpu_seconds() -> float:
    """Processor time of this process and of the children that have ended."""
    return sum(os.times()[:4])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """A test's account begins before its fixtures."""
    item.stash[_AT_START] = _cpu_seconds()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With CI=true a skip is a failure: a gap in the test environment must be seen.

    Processor time goes into the JUnit file (python -m tests.time_table): the clock of a busy host
    says little.
    """
    report = yield
    if report.when == "teardown":
        used = _cpu_seconds() - item.stash[_AT_START]
        report.user_properties.append((CPU_SECONDS, f"{used:.2f}"))
    if os.environ.get("CI") == "true" and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a module that skips itself while it is imported."""
    report = yield
    if os.environ.get("CI") == "true" and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report
