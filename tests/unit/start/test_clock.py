# SPDX-License-Identifier: Apache-2.0
"""The TSC's rate is found soon where the machine has a timer that tells, and in any case."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec.run import run
from tests.unit.start.test_platform import CSRC, FLAGS, HERE

SOON_MS, LONG_MS = 26, 290
PPM = 1_000_000


@pytest.fixture(scope="module", name="clock")
def clock_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("clock") / "clock"
    sources = [HERE / "clock.c", CSRC / "stub/start/clock.c", CSRC / "common/acpi.c"]
    run(["gcc", *FLAGS, "-Werror", "-o", program, *sources], timeout_s=60)
    return program


def found(
    clock: Path, khz: int, teller: str, late_us: int = 0, nr_late: int = 99
) -> tuple[int, int]:
    """How far off in parts of a million, and the milliseconds that it took."""
    rate, spent = run([clock, str(khz), teller, str(late_us), str(nr_late)]).split()
    return abs(int(rate) - khz) * PPM // khz, int(spent)


@pytest.mark.parametrize("khz", [800_000, 1_000_000, 2_099_998, 5_500_000])
@pytest.mark.parametrize("teller", ["pm", "pm-64"])
def test_the_pm_timer_tells_soon(khz: int, teller: str, clock: Path) -> None:
    off, spent = found(clock, khz, teller, late_us=50)
    assert off < 100 and spent <= SOON_MS


def test_a_processor_that_says_it_is_not_measured(clock: Path) -> None:
    assert found(clock, 2_100_000, "cpuid") == (0, 0)


@pytest.mark.parametrize("teller", ["none", "reduced", "still", "fast"])
def test_without_one_that_can_be_believed_the_firmwares_wait_tells(
    teller: str, clock: Path
) -> None:
    off, spent = found(clock, 2_099_998, teller)
    assert off < 100 and spent >= LONG_MS


def test_waits_that_were_disturbed_do_not_make_it_wait_longer(clock: Path) -> None:
    off, spent = found(clock, 2_099_998, "pm", late_us=20_000, nr_late=2)
    assert off < 100 and spent <= 3 * SOON_MS


def test_a_wait_as_long_as_a_tick_is_no_measure(clock: Path) -> None:
    """A firmware that waits by its own timer: then the longer waits count, as they always did."""
    off, spent = found(clock, 2_099_998, "pm", late_us=5000)
    assert spent >= LONG_MS and off > 1000
