# SPDX-License-Identifier: Apache-2.0
"""A chipset's watchdog is halted for Linux where it was armed, and let be where it was not."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec.run import run
from tests.unit.gate.test_state import CSRC, FLAGS, HERE


@pytest.fixture(scope="module", name="tco")
def tco_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("tco") / "tco"
    run(["gcc", *FLAGS, "-o", program, HERE / "tco.c", CSRC / "stub/gate/tco.c"], timeout_s=60)
    return program


@pytest.mark.parametrize(
    ("chipset", "state", "done"),
    [
        # Halted for Linux; let run again, with its whole time.
        ("ich", "armed", ["668: 800", "668: 0", "660: 1"]),
        ("pch", "armed", ["408: 800", "408: 0", "400: 1"]),
        ("ich", "idle", []),
        ("pch", "halted", []),
        ("ich", "off", []),
        ("pch", "off", []),
        ("amd", "armed", []),
        ("pch", "locked", ["cannot be halted", "408: 1800", "400: 1", "400: 1"]),
    ],
)
def test_an_armed_watchdog_stands_still_for_linux(
    chipset: str, state: str, done: list[str], tco: Path
) -> None:
    assert run([tco, chipset, state]).decode().splitlines() == done
