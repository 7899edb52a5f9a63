# SPDX-License-Identifier: Apache-2.0
"""A fuzzer is ended for what it does, never for what else the machine does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from pykexec.errors import ToolError
from tests.fuzz.conftest import summary
from tests.fuzz.processor import Limits, run_by_processor

pytestmark = pytest.mark.fuzz

BURN = "while True: pass"
WAIT = "import signal, time\nwhile True: time.sleep(0.1)"
"""As what waits looks from without: it turns over, and does nothing."""
STARVED = """
import os, time
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
os.nice(19)
while time.process_time() < 0.04: pass
"""
ASKED = """
import signal, sys
signal.signal(signal.SIGUSR1, lambda *_: sys.exit(3))
while True: pass
"""
LATE = """
import time
while time.process_time() < 1: pass
print("now", flush=True)
while time.process_time() < 1.1: pass
"""


@pytest.fixture
def busy() -> Generator[None, None, None]:
    """The first processor has something to do that is more urgent."""
    cpu = min(os.sched_getaffinity(0))
    pin = f"import os\nos.sched_setaffinity(0, [{cpu}])\n"
    process = subprocess.Popen([sys.executable, "-c", pin + BURN])
    yield
    process.kill()
    process.wait()


def run(program: str, limits: Limits, tmp_path: Path) -> int:
    command = [sys.executable, "-c", program]
    return run_by_processor(command, limits, cwd=tmp_path, output=tmp_path / "log").status


def test_who_does_not_end_is_ended(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"no end after \d+ s of the processor"):
        run(BURN, Limits(max_s=0.6, idle_s=5), tmp_path)


def test_who_does_not_begin_is_ended(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"no end after \d+ s of the processor"):
        run(BURN, Limits(max_s=60, begins="now", start_s=0.6, idle_s=5), tmp_path)


def test_who_waits_for_ever_is_ended(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"waits for \d+ s, and not for the processor"):
        run(WAIT, Limits(max_s=60, idle_s=2), tmp_path)


@pytest.mark.usefixtures("busy")
def test_who_waits_for_the_processor_is_not(tmp_path: Path) -> None:
    assert run(STARVED, Limits(max_s=60, idle_s=0.5), tmp_path) == 0


def test_who_has_had_enough_is_asked_to_end(tmp_path: Path) -> None:
    assert run(ASKED, Limits(max_s=60, enough_s=0.5), tmp_path) == 3


def test_the_start_does_not_count(tmp_path: Path) -> None:
    assert run(LATE, Limits(max_s=0.7, begins="now"), tmp_path) == 0


def test_a_line_sums_up_what_the_targets_did() -> None:
    found = [("fuzzed", "90.00 1000 0"), ("cpu_seconds", "99"), ("fuzzed", "30.00 24 1")]
    reports = [
        pytest.TestReport("x", ("x", 1, "x"), {}, "passed", None, "call", user_properties=[each])
        for each in found
    ]
    line = "2 targets, 2.0 minutes of the processor, 1024 executions, 1 slow by the clock alone"
    assert (summary(reports), summary([])) == (line, "")
