# SPDX-License-Identifier: Apache-2.0
"""The stub's digests of the firmware's memory: what differs is told, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec._native import ffi, lib
from pykexec.abi_devices import RamAction, RamKind
from pykexec.run import run

CSRC = Path(__file__).parents[3] / "csrc"
SOURCES = ("stub/services/firmware_ram.c", "common/siphash.c")
ALL = 7
RUNTIME, ACPI, RESERVED = RamKind.RUNTIME, RamKind.ACPI, RamKind.RESERVED
CODE, DATA, RECLAIM, NVS, RESERVED_MEMORY, REGISTERS, BOOT_DATA, FREE = range(8)
INVALID_PARAMETER, BUFFER_TOO_SMALL, NOT_READY = 2, 5, 6


def build(directory: Path, *defines: str) -> Path:
    path = directory / "firmware_ram"
    flags = ["-std=gnu11", "-fshort-wchar", "-g", "-fsanitize=address,undefined"]
    options = [*flags, *(f"-D{name}" for name in defines), f"-I{CSRC}", f"-I{CSRC / 'include'}"]
    own = str(Path(__file__).parent / "firmware_ram.c")
    run(
        ["gcc", *options, own, *(str(CSRC / name) for name in SOURCES), "-o", str(path)],
        timeout_s=120,
    )
    return path


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("firmware_ram"))


def said(program: Path, script: str) -> list[str]:
    """A line for each question, and what is left allocated."""
    return run([str(program)], stdin=script.encode(), timeout_s=60).decode().splitlines()


def test_what_nobody_wrote_is_the_same(program: Path) -> None:
    assert said(program, f"init compare {ALL} end") == [
        "0 watched 10 left out 1 pieces 10 kinds 3 changed 0",
        "allocated 0",
    ]


@pytest.mark.parametrize(
    ("region", "offset", "told"),
    [
        (CODE, 0, " 0@0+1:5"),
        (CODE, 3 * 4096 - 1, " 0@2+1:5"),
        (DATA, 4096, " 1@1+1:6"),
        (RECLAIM, 8191, " 2@1+1:9"),
        (NVS, 100, " 3@0+1:10"),
        (DATA, 4 * 4096 - 1, ""),  # not mapped: nobody reads it
        (REGISTERS, 0, ""),
        (BOOT_DATA, 0, ""),
        (FREE, 0, ""),
    ],
)
def test_a_byte_that_was_written_is_told_by_its_page(
    program: Path, region: int, offset: int, told: str
) -> None:
    script = f"init remember {ALL} write {region} {offset} compare {RUNTIME | ACPI} end"
    line = said(program, script)[1]
    assert line == f"0 watched 10 left out 1 pieces 10 kinds 7 changed {1 if told else 0}{told}"


def test_reserved_memory_is_read_only_once_somebody_asks(program: Path) -> None:
    last = 2000 * 4096 - 1
    before = f"init write {RESERVED_MEMORY} 0 compare {ALL} remember {RESERVED} compare {ALL}"
    lines = said(program, f"{before} write {RESERVED_MEMORY} {last} compare {RESERVED} end")
    assert lines[0].endswith("kinds 3 changed 0")
    # More than there is room for by pages: by twos.
    assert lines[1] == "0 watched 2000 left out 0 pieces 1000 kinds 7 changed 0"
    assert lines[2].endswith("kinds 7 changed 0")
    assert lines[3].endswith(" changed 1 4@1998+2:0")


def test_what_has_a_digest_gets_no_other(program: Path) -> None:
    lines = said(program, f"init write 0 0 remember {ALL} compare {RUNTIME} end")
    assert lines[1] == "0 watched 6 left out 1 pieces 6 kinds 7 changed 1 0@0+1:5"


def test_kinds_that_nobody_asked_for_are_not_told(program: Path) -> None:
    lines = said(
        program, f"init write 0 0 write 2 0 compare {ACPI} compare {RUNTIME} compare 0 end"
    )
    assert lines[0].endswith("changed 1 2@0+1:9")
    assert lines[1].endswith("changed 1 0@0+1:5")
    assert lines[2].startswith("0 watched 0 ") and lines[2].endswith("changed 0")


def test_an_image_that_does_not_certify_tells_nothing(program: Path, tmp_path: Path) -> None:
    script = f"compare {ALL} remember {ALL} init end compare {ALL}"
    assert said(program, script) == [f"{NOT_READY:x}"] * 3 + ["allocated 0"]
    control = build(tmp_path, "PK_TEST_RAM_OF_ALL")
    assert said(control, f"compare {ALL}")[0].startswith("0 ")


@pytest.mark.parametrize(
    ("capacity", "action", "kinds", "status"),
    [
        (0, RamAction.COMPARE, ALL, BUFFER_TOO_SMALL),
        (31, RamAction.COMPARE, ALL, BUFFER_TOO_SMALL),
        (32 + 23, RamAction.COMPARE, ALL, BUFFER_TOO_SMALL),
        (32 + 24 + 23, RamAction.COMPARE, ALL, BUFFER_TOO_SMALL),
        (4096, 2, ALL, INVALID_PARAMETER),
        (4096, RamAction.COMPARE, 8, INVALID_PARAMETER),
    ],
)
def test_what_does_not_fit_is_refused(
    program: Path, capacity: int, action: int, kinds: int, status: int
) -> None:
    script = f"init write 0 0 write 2 0 ask {capacity} {int(action)} {kinds} end"
    assert said(program, script)[0] == f"{status:x}"
    assert said(program, "init write 0 0 write 2 0 ask 80 1 7 end")[0].endswith("0@0+1:5 2@0+1:9")


# The reference implementation's key 00..0f, and messages 00, 00 01, ...
@pytest.mark.parametrize(
    ("size", "digest"),
    [(0, 0x726FDB47DD0E0E31), (1, 0x74F839C593DC67FD), (7, 0xAB0200F58B01D137),
     (8, 0x93F5F5799A932462), (15, 0xA129CA6149BE45E5), (63, 0x958A324CEB064572)],
)  # fmt: skip
def test_siphash_is_the_one_of_its_paper(size: int, digest: int) -> None:
    words = [int.from_bytes(bytes(range(start, start + 8)), "little") for start in (0, 8)]
    key = ffi.new("struct pk_siphash_key *", words)
    assert lib.pk_siphash(key, bytes(range(size)), size) == digest
