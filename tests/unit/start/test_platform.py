# SPDX-License-Identifier: Apache-2.0
"""Machines on which Linux and the firmware could not take turns are refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec.run import run
from tests.support.samples import bzimage_file

HERE = Path(__file__).parent
CSRC = HERE.parents[2] / "csrc"
SOURCES = (
    *("stub/start/platform.c", "stub/start/levels.c", "stub/lib/string.c"),
    *("common/bzimage.c", "common/pe.c", "common/guids.c"),
)
FLAGS = (
    *("-std=gnu11", "-g", "-Wall", "-Wextra", "-fshort-wchar", "-fsanitize=address,undefined"),
    # Before the stub's own: it has the instructions.
    f"-I{HERE.parent / 'gate/machine'}",
    *(f"-I{CSRC}", f"-I{CSRC / 'include'}"),
)
FOUR, FIVE = bzimage_file(xloadflags=0x3F), bzimage_file(xloadflags=0x7F)
LA57, CET = 1 << 12, 1 << 23
REFUSED = "3"  # EFI_UNSUPPORTED


@pytest.fixture(scope="module", name="program")
def program_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("platform") / "platform"
    sources = [HERE / "platform.c", *(CSRC / name for name in SOURCES)]
    run(["gcc", *FLAGS, "-o", str(program), *map(str, sources)], timeout_s=60)
    return program


def said(
    program: Path, kernel: bytes, machine: str, cr4: int, s_cet: int = 0, cmdline: str = "quiet"
) -> str:
    words = [str(program), machine, hex(cr4), hex(s_cet), cmdline]
    return run(words, stdin=kernel).decode().strip()


@pytest.mark.parametrize(
    ("machine", "cr4", "s_cet", "why"),
    [
        ("polled", 0, 0, "has firmware that runs without interrupts, and so without timers"),
        ("sev", 0, 0, "is a confidential guest (AMD SEV)"),
        ("sme", 0, 0, "has firmware that encrypts its memory (AMD SME)"),
        ("tdx", 0, 0, "is a confidential guest (Intel TDX)"),
        ("metal", CET, 1, "has firmware that runs with control-flow enforcement (CET)"),
        ("guest", CET, 4, "has firmware that runs with control-flow enforcement (CET)"),
    ],
)
def test_what_the_gate_cannot_do_is_refused(
    machine: str, cr4: int, s_cet: int, why: str, program: Path
) -> None:
    answer = said(program, FIVE, machine, cr4, s_cet)
    assert answer == f"{REFUSED} 0 ' no5lvl' pykexec: this machine {why}, which is not supported"


@pytest.mark.parametrize(
    ("machine", "cr4", "parameter"),
    [
        ("metal", 0, " no5lvl"),
        ("guest", 0, " no5lvl"),
        ("tsme", 0, " no5lvl"),
        ("far", 0, " no5lvl"),
        # Switched on, and used for nothing.
        ("metal", CET, " no5lvl"),
        ("metal", LA57, ""),
        ("guest", LA57 | CET, ""),
    ],
)
def test_linux_has_as_many_levels_as_the_firmware(
    machine: str, cr4: int, parameter: str, program: Path
) -> None:
    assert said(program, FIVE, machine, cr4) == f"0 0 '{parameter}'"


@pytest.mark.parametrize(
    ("kernel", "cmdline", "why"),
    [
        (FOUR, "quiet", "which the kernel cannot have (CONFIG_X86_5LEVEL)"),
        (FIVE, "no5lvl", "and .cmdline says no5lvl"),
        (FIVE, "quiet no5lvl", "and .cmdline says no5lvl"),
        (FIVE, "no5lvl quiet", "and .cmdline says no5lvl"),
    ],
)
def test_a_linux_that_would_have_four_is_refused(
    kernel: bytes, cmdline: str, why: str, program: Path
) -> None:
    answer = said(program, kernel, "metal", LA57, 0, cmdline)
    words = "pykexec: this firmware's page tables have five levels"
    assert answer == f"0 {REFUSED} '' {words}, {why}"


@pytest.mark.parametrize("cmdline", ["no5lvlx", "x=no5lvl", "no5lv", ""])
def test_other_words_say_nothing_of_levels(cmdline: str, program: Path) -> None:
    assert said(program, FIVE, "metal", LA57, 0, cmdline) == "0 0 ''"
