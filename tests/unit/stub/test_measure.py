# SPDX-License-Identifier: Apache-2.0
"""The stub's own measuring, on the host: a log without room hinders no boot, a broken TPM does."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec._native import ffi, lib
from pykexec.abi import InfoFlag
from pykexec.firmware.description import describe
from pykexec.run import run
from tests.unit.image.inputs import TEXT, SectionInput, pe_bytes

CSRC = Path(__file__).parents[3] / "csrc"
SOURCES = ["stub/start/measure.c", "stub/services/tcg2.c", "common/pe.c", "common/guids.c"]
DESCRIPTION = describe({".linux": bytes(300)})
SECTIONS = (
    TEXT,
    SectionInput(".sbat", 0x2000, b"sbat,1\n"),
    SectionInput(".linux", 0x3000, bytes(300)),
)
DESCRIBED = (*SECTIONS, SectionInput(".digests", 0x4000, DESCRIPTION))
# PCR, type, size; "=": the log has what was measured.
LOGGED = f"5:6:{len(DESCRIPTION)}= "
# .linux comes first: a name and its end, then the contents.
SYSTEMD = "11:13:7 11:13:300 11:13:6 11:13:7 "


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("measure") / "measure"
    flags = ["-std=gnu11", "-fshort-wchar", "-g", "-fsanitize=address,undefined"]
    files = [str(CSRC / name) for name in SOURCES]
    includes = [f"-I{CSRC}", f"-I{CSRC / 'include'}"]
    own = str(Path(__file__).parent / "measure.c")
    run(["gcc", *flags, *includes, own, *files, "-o", str(path)], timeout_s=120)
    return path


def measured(
    program: Path,
    first: int = 99,
    status: int = 0,
    sections: tuple[SectionInput, ...] = DESCRIBED,
    *,
    systemd: bool = False,
) -> str:
    """What it says of an image whose events fail from the first on."""
    data = pe_bytes(sections, image_size=0x6000)
    pe = ffi.new("struct pk_pe *")
    assert lib.pk_pe_parse(ffi.from_buffer(data), len(data), pe) == 0
    image = bytearray(pe.size_of_image)
    lib.pk_pe_layout(ffi.from_buffer(data), pe, ffi.from_buffer(image))
    command = [str(program), str(first), hex(status), str(int(systemd))]
    return run(command, stdin=bytes(image), timeout_s=60).decode().strip()


def test_what_the_image_says_of_itself_is_logged_as_it_stands_and_nothing_else(
    program: Path,
) -> None:
    flags = int(InfoFlag.MEASURED)
    assert measured(program) == f"{LOGGED}status 0x0 flags {flags}"
    assert measured(program, sections=SECTIONS) == f"status 0x0 flags {flags}"


def test_every_section_is_measured_as_systemd_does_for_who_wants_that(program: Path) -> None:
    flags = int(InfoFlag.MEASURED)
    expected = f"{LOGGED}{SYSTEMD}status 0x0 flags {flags}"
    assert measured(program, systemd=True) == expected


@pytest.mark.parametrize("first", [0, 1, 3])
def test_a_full_log_is_told_and_hinders_no_boot(program: Path, first: int) -> None:
    flags = InfoFlag.MEASURED | InfoFlag.LOG_FULL
    expected = f"{LOGGED}{SYSTEMD}status 0x0 flags {int(flags)}"
    assert measured(program, first, lib.EFI_VOLUME_FULL, systemd=True) == expected


def test_what_was_not_extended_ends_the_boot(program: Path) -> None:
    status = lib.EFI_DEVICE_ERROR
    assert measured(program, 0, status) == f"{LOGGED}status {status:#x} flags 0"
    expected = f"{LOGGED}11:13:7 status {status:#x} flags 0"
    assert measured(program, 1, status, systemd=True) == expected


def test_what_no_event_can_hold_ends_the_boot(program: Path) -> None:
    sections = (*SECTIONS, SectionInput(".digests", 0x4000, bytes(4097)))
    status = lib.EFI_INVALID_PARAMETER
    assert measured(program, sections=sections) == f"status {status:#x} flags 0"
