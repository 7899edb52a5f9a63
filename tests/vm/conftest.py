# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the VM tests: firmware, machines, a directory of artefacts for each test."""

from __future__ import annotations

import re
import shutil
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pykexec.vm.machine import Machine
from pykexec.vm.ovmf import Firmware, firmware
from pykexec.vm.snapshot import Snapshot
from pykexec.vm.vm import Vm
from tests.vm.boot import Boot
from tests.vm.equipment import HARDWARE
from tests.vm.guest import Guest
from tests.vm.snapshots import AgentReady, Kind, Snapshots, make_directory
from tests.vm.turns import versions

_REPORT = pytest.StashKey[pytest.TestReport]()
_DIRECTORY = pytest.StashKey[Path]()
_SNAPSHOTS = "snapshots"
_OF_EACH_VERSION = {"firmware", "enforcing"}
_TEST_LIMIT_S = 420
_ONLY_WHEN_ASKED = (
    "control: a comparison without us, run only by -m control",
    "matrix: a case more of what make test has shown with another, run only by -m matrix",
)


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers that only this directory uses."""
    for marker in _ONLY_WHEN_ASKED:
        config.addinivalue_line("markers", marker)
    if _DIRECTORY not in config.stash and _SNAPSHOTS not in _told(config):
        config.stash[_DIRECTORY] = make_directory()


def pytest_unconfigure(config: pytest.Config) -> None:
    """The machines of a run end with it."""
    if directory := config.stash.get(_DIRECTORY, None):
        shutil.rmtree(directory, ignore_errors=True)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell xdist's workers where the snapshots are."""
    node.workerinput[_SNAPSHOTS] = str(node.config.stash[_DIRECTORY])


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


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Who asks for firmware gets each version; one of them in `make test`."""
    for name in _OF_EACH_VERSION & set(metafunc.fixturenames):
        shared = "agent_ready" in metafunc.fixturenames
        cases = versions(metafunc.function.__name__, shared)
        metafunc.parametrize(name, cases, indirect=True)


@pytest.fixture(name="firmware")
def firmware_fixture(request: pytest.FixtureRequest) -> Firmware:
    """OVMF of one version."""
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

        def start(
            machine: Machine, *, limit_s: float = 300.0, snapshot: Snapshot | None = None
        ) -> Vm:
            directory = artefacts / f"boot{len(vms) + 1}" if vms else artefacts
            vm = Vm(machine, directory, limit_s=limit_s, snapshot=snapshot)
            vms.append(stack.enter_context(vm))
            return vm

        yield start
        report = request.node.stash.get(_REPORT, None)
        if vms and vms[-1].running and (report is None or report.failed):
            vms[-1].screenshot(vms[-1].directory / "screen.png")


@pytest.fixture(scope="session")
def snapshots(request: pytest.FixtureRequest) -> Snapshots:
    """Those of this run, whose directory the process that started it has made."""
    given = _told(request.config).get(_SNAPSHOTS)
    return Snapshots(Path(given) if given else request.config.stash[_DIRECTORY])


def _told(config: pytest.Config) -> dict[str, Any]:
    """What xdist told this process, if it is a worker."""
    return getattr(config, "workerinput", {})


@pytest.fixture
def agent_ready(boot: Boot, snapshots: Snapshots, artefacts: Path) -> AgentReady:
    """A function that gives a machine whose agent is ready, with all that is in equipment.py."""

    def start(
        image: Path,
        firmware: Firmware,
        *,
        limit_s: float = 300.0,
        quick: bool = True,
        **settings: Any,
    ) -> Guest:
        kind = Kind(image, firmware, {**HARDWARE, **settings}, quick)
        snapshot = snapshots.of(kind, artefacts / "frozen")
        return Guest(boot(kind.machine(), limit_s=limit_s, snapshot=snapshot), quick)

    return start
