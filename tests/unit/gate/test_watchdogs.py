# SPDX-License-Identifier: Apache-2.0
"""A watchdog that the firmware armed stands still for Linux and has all its time afterwards.

Of those that ACPI, AMD's chipset or a BMC have; Intel's is in test_tco.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec.run import run
from tests.unit.gate.test_state import CSRC, FLAGS, HERE

GATE = ("bmc", "kcs", "watchdog", "wdat", "wdrt")
COMMON = ("acpi", "guids", "ipmi", "watchdog")
REST = ["linux", "switch", "switch", "end"]
"""Nothing is done, and nothing said."""

WDAT_STOPS = ["608: 82a", "600: 1"]
WDAT_RUNS = ["608: 2a", "600: 1"]
LOCKED = "said: the chipset's watchdog is locked: it will reset a Linux that is long at rest"
SILENT = "said: the BMC does not say whether its watchdog runs"
BMC_STOPS = ["set 03 01 clearing 00, countdown 300"]
BMC_RUNS = [*BMC_STOPS, "reset", "as it was"]


@pytest.fixture(scope="module", name="watchdogs")
def watchdogs_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("watchdogs") / "watchdogs"
    sources = [HERE / "watchdogs.c", *(CSRC / f"stub/gate/{name}.c" for name in GATE)]
    sources += [CSRC / f"common/{name}.c" for name in COMMON]
    run(["gcc", *FLAGS, "-o", program, *sources], timeout_s=60)
    return program


def _wdrt(control: str) -> list[str]:
    # Bit 7 gives it all its time; bit 1, which tells that it has fired, is cleared by writing it.
    stops, runs = [f"{control}: 4"], [f"{control}: 5", f"{control}: 85"]
    return ["linux", *stops, *2 * ["switch", *runs, *stops], "end", *runs]


@pytest.mark.parametrize(
    ("has", "state", "done"),
    [
        (
            "wdat",
            "armed",
            # Whether it can be stopped is tried.
            [*WDAT_STOPS, *WDAT_RUNS]
            + ["linux", *WDAT_STOPS]
            + 2 * ["switch", *WDAT_RUNS, *WDAT_STOPS]
            + ["end", *WDAT_RUNS],
        ),
        ("wdat", "idle", REST),
        ("wdat", "off", REST),
        ("wdat", "unreachable", REST),
        ("wdat", "damaged", REST),
        ("wdrt", "armed", _wdrt("feb00000")),
        ("wdrt", "idle", REST),
        ("wdrt", "off", REST),
        ("wdrt", "absent", REST),
        ("wdrt", "damaged", REST),
        ("amd", "armed", _wdrt("fed80b00")),
        ("amd", "idle", REST),
        ("amd", "off", REST),
        ("amd", "absent", REST),
        # A BMC is slow: no word with it in a switch.
        ("kcs", "armed", ["linux", *BMC_STOPS, "switch", "switch", "end", *BMC_RUNS]),
        ("spmi", "armed", ["linux", *BMC_STOPS, "switch", "switch", "end", *BMC_RUNS]),
        ("kcs", "idle", REST),
        ("kcs", "damaged", REST),
        ("kcs", "ended", REST),
        ("kcs", "unreachable", ["said: interface 1", *REST]),
        ("kcs", "confused", [SILENT, *REST]),
        ("kcs", "absent", [SILENT, *REST]),
        ("kcs", "dead", [SILENT, *REST]),
        ("ssif", "armed", ["said: interface 4", *REST]),
    ],
)
def test_an_armed_watchdog_stands_still_for_linux_and_runs_after_it(
    has: str, state: str, done: list[str], watchdogs: Path
) -> None:
    assert run([watchdogs, has, state]).decode().splitlines() == done


def test_one_that_cannot_be_stopped_is_told_and_has_its_time_in_each_switch(
    watchdogs: Path,
) -> None:
    said, *_ = found = run([watchdogs, "wdat", "locked"]).decode().splitlines()[4:]
    assert said == LOCKED
    assert found.count("600: 1") >= 4


def test_a_bmc_that_does_not_let_go_of_it_is_told(watchdogs: Path) -> None:
    found = run([watchdogs, "kcs", "locked"]).decode().splitlines()
    assert found[:2] == ["linux", "said: the BMC's watchdog goes on: it may reset Linux"]


def test_tables_of_any_bytes_are_read_within_them(watchdogs: Path) -> None:
    assert run([watchdogs], timeout_s=60) == b""
