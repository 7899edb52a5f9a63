# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the VM tests: firmware, machines, a directory of artefacts for each test."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pykexec.vm.machine import Machine
from pykexec.vm.ovmf import VERSIONS, Firmware, firmware
from pykexec.vm.vm import Vm
from tests.vm.boot import Boot

_REPORT = pytest.StashKey[pytest.TestReport]()
_TEST_LIMIT_S = 420
_ONLY_WHEN_ASKED = (
    "control: a comparison without us, run only by -m control",
    "matrix: payload and firmware beyond those of make test, run only by -m matrix",
)


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers that only this directory uses."""
    for marker in _ONLY_WHEN_ASKED:
        config.addinivalue_line("markers", marker)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark and limit the tests of this directory; leave out what must be asked for."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.vm)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(_TEST_LIMIT_S))
    for name in (marker.partition(":")[0] for marker in _ONLY_WHEN_ASKED):
        if name not in (config.option.markexpr or ""):
            left_out = [item for item in items if item.get_closest_marker(name)]
            config.hook.pytest_deselected(items=left_out)
            items[:] = [item for item in items if item not in left_out]
    # What takes longest comes first, so that no worker is alone with it at the end.
    items.sort(key=_limit_s, reverse=True)


def _limit_s(item: pytest.Item) -> float:
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0]) if marker else 0.0


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep the report, so that fixtures know whether their test has failed."""
    report = yield
    if report.when == "call":
        item.stash[_REPORT] = report
    return report


@pytest.fixture(params=VERSIONS, name="firmware")
def firmware_fixture(request: pytest.FixtureRequest) -> Firmware:
    """Both OVMF versions, one after the other."""
    return firmware(request.param)


@pytest.fixture
def artefacts(request: pytest.FixtureRequest) -> Path:
    """An empty directory build/vm/<test> for what explains a failure."""
    name = re.sub(r"[^\w.+-]+", "_", request.node.nodeid.removeprefix("tests/vm/")).strip("_")
    directory = request.config.rootpath / "build" / "vm" / name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory


@pytest.fixture
def boot(request: pytest.FixtureRequest, artefacts: Path) -> Iterator[Boot]:
    """A function that starts a machine; the console log and a failed test's screen are kept."""
    vms: list[Vm] = []
    with ExitStack() as stack:

        def start(machine: Machine, *, limit_s: float = 300.0) -> Vm:
            directory = artefacts / f"boot{len(vms) + 1}" if vms else artefacts
            vms.append(stack.enter_context(Vm(machine, directory, limit_s=limit_s)))
            return vms[-1]

        yield start
        report = request.node.stash.get(_REPORT, None)
        if vms and vms[-1].running and (report is None or report.failed):
            vms[-1].screenshot(vms[-1].directory / "screen.png")


@pytest.fixture
def machine(firmware: Firmware) -> Callable[..., Machine]:
    """A function that makes a Machine with the firmware of the test."""

    def make(**settings: object) -> Machine:
        return Machine(**{"firmware": firmware, **settings})  # type: ignore[arg-type]

    return make
