# SPDX-License-Identifier: Apache-2.0
"""PID 1 of dom0: what it does to the machine, as far as none is needed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykexec.errors import ToolError
from pykexec.launch.dom0 import init
from pykexec.launch.dom0.bundle import BundleError
from pykexec.launch.dom0.command_lines import LaunchError
from tests.unit.launch.inputs import NIC, SERVICE


@pytest.fixture(name="state")
def state_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where dom0 keeps what it has read."""
    monkeypatch.setattr(init, "STATE", str(tmp_path))
    (tmp_path / "filter").mkdir()
    return tmp_path


def test_a_file_is_kept_whole(state: Path) -> None:
    assert init.keep("pc/pc/kernel", iter([b"a", b"b"])) == str(state / "pc/pc/kernel")
    assert (state / "pc/pc/kernel").read_bytes() == b"ab"


def test_of_a_file_that_turns_out_wrong_nothing_stays(state: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"a"
        raise BundleError("bundle: pc/kernel: its SHA-256 is another")

    with pytest.raises(BundleError):
        init.keep("pc/kernel", chunks())
    assert not (state / "pc/kernel").exists()


class Tools:
    """Notes what is run; one of them fails."""

    def __init__(self, fails: str = "") -> None:
        self.fails = fails
        self.done: list[str] = []

    def run(self, command: list[object], **settings: object) -> bytes:
        """As run() does."""
        self.done.append(" ".join(map(str, command[1:])))
        if self.fails and self.fails in self.done[-1]:
            raise ToolError(f"{self.done[-1]}: exit status 1")
        return b""


def test_a_domain_gets_its_devices_before_it_runs(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = Tools()
    monkeypatch.setattr(init, "run", tools.run)
    init.create(SERVICE, "name=1\n")
    assert tools.done == [
        f"pci-assignable-add {NIC}",
        f"create -q -p {state}/filter/xl.cfg",
        f"pci-attach filter {NIC}",
        "unpause filter",
    ]
    assert (state / "filter/xl.cfg").read_text() == "name=1\n"


def test_a_domain_without_its_devices_does_not_run(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = Tools(fails="pci-attach")
    monkeypatch.setattr(init, "run", tools.run)
    with pytest.raises(LaunchError, match="pci-attach"):
        init.create(SERVICE, "")
    assert tools.done[-1] == "destroy filter"
    assert "unpause filter" not in tools.done


def test_what_is_not_there_yet_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, tries = iter(range(0, 100, 5)), iter([False, False, True])
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(time, "sleep", lambda seconds: None)

    def step() -> str:
        if not next(tries):
            raise LaunchError("not there")
        return "there"

    assert init.wait_for(step) == "there"

    def never() -> str:
        raise LaunchError("not there")

    with pytest.raises(LaunchError, match="not there"):
        init.wait_for(never)
