# SPDX-License-Identifier: Apache-2.0
"""Linux' command line: what is measured of it is the same at every start of a machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec.run import run
from tests.unit.start.test_platform import CSRC, FLAGS, HERE

BAD_BUFFER_SIZE, NOT_FOUND = "4", "e"
RATES = [1, 999_999, 2_099_998, 4_294_967_295]


@pytest.fixture(scope="module", name="program")
def program_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("line") / "line"
    sources = [HERE / "command_line.c", CSRC / "stub/start/command_line.c"]
    run(["gcc", *FLAGS, "-Werror", "-o", program, *sources], timeout_s=60)
    return program


def lines(program: Path, given: str, khz: int, kind: str = "copy") -> list[str]:
    """What is measured, what Linux reads, and how it ended."""
    return run([program, given, str(khz), kind]).decode().split("\n")[:-1]


def test_whatever_the_rate_the_same_is_measured(program: Path) -> None:
    measured = {lines(program, "quiet", khz)[0] for khz in RATES}
    assert len(measured) == 1
    (line,) = measured
    assert line.startswith("console=ttyS1,115200 quiet no5lvl tsc=reliable ")
    assert line.endswith(" tsc_early_khz=----------")


@pytest.mark.parametrize("khz", RATES)
def test_linux_is_told_the_rate_as_its_last_word(program: Path, khz: int) -> None:
    measured, told, status = lines(program, "quiet", khz)
    assert status == "0" and len(told) == len(measured)
    assert told.split()[-1] == f"tsc_early_khz={khz}"
    assert told.split()[:-1] == measured.split()[:-1]


def test_a_kernel_without_a_copy_of_its_own_is_not_gone_on_with(program: Path) -> None:
    assert lines(program, "quiet", 1_000_000, "none")[2] == NOT_FOUND


def test_what_ends_in_blank_lines_does_not(program: Path) -> None:
    assert " quiet no5lvl " in lines(program, "quiet \n\n", 1_000_000)[0]


def test_one_that_linux_would_cut_off_is_refused(program: Path) -> None:
    assert lines(program, "x" * 1_300, 1_000_000)[2] == "0"
    assert lines(program, "x" * 1_900, 1_000_000) == [BAD_BUFFER_SIZE]
