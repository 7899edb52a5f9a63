# SPDX-License-Identifier: Apache-2.0
"""The firmware's tick is stopped and started by its driver, or else by what registers there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec.run import run
from tests.unit.gate.test_state import CSRC, FLAGS, HERE

BY_DRIVER = ["period 0, interrupts on", "period 100000, interrupts off"]


@pytest.fixture(scope="module", name="tick")
def tick_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("tick") / "tick"
    sources = [HERE / "tick.c", CSRC / "stub/gate/tick.c", CSRC / "common/guids.c"]
    run(["gcc", *FLAGS, "-o", program, *sources], timeout_s=60)
    return program


@pytest.mark.parametrize(
    ("timer", "how", "done"),
    [
        ("deadline", "driver", BY_DRIVER),
        ("msi", "driver", BY_DRIVER),
        # It had none, and gets none.
        ("off", "driver", []),
        # The driver's timer has one period alone: registers, then.
        ("deadline", "refused", ["period 0, interrupts on", "msr 6e0 1010000"]),
        # Whoever sets it next is called by it.
        ("deadline", "hidden", ["msr 6e0 1010000"]),
        # These go on by their own registers, which are state items.
        ("periodic", "hidden", []),
        ("8254", "hidden", []),
        # What fired meanwhile is told late.
        ("msi", "hidden", ["lapic 300 44041"]),
        ("pin", "hidden", ["lapic 300 44051"]),
        ("pin", "driver", BY_DRIVER),
    ],
)
def test_a_tick_that_was_stopped_goes_on(timer: str, how: str, done: list[str], tick: Path) -> None:
    lines = run([tick, timer, how]).decode().splitlines()
    assert lines == [*done, "interrupts off"]
