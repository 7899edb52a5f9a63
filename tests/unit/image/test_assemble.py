# SPDX-License-Identifier: Apache-2.0
"""Images assembled from a stub, as other programs see them."""

from __future__ import annotations

from pathlib import Path

import pefile
import pytest

from pykexec.efi import pe
from pykexec.errors import FormatError
from pykexec.image import assemble
from pykexec.image.recipe import DATA
from pykexec.run import run
from tests.unit.image.inputs import SBAT, SECTION_TABLE, TEXT, SectionInput, patched, pe_bytes

SECTIONS = {".cmdline": b"quiet", ".initrd": b"\1" * 5000, ".linux": b"\2" * 513}
STUBS = {
    "file alignment 512": pe_bytes(file_alignment=512, headers_size=1024),
    "file alignment 4096": pe_bytes(file_alignment=4096, headers_size=4096),
    "headers to grow": pe_bytes(file_alignment=512, headers_size=512),
}
OUTPUTS = {name: assemble.append_sections(stub, name, SECTIONS) for name, stub in STUBS.items()}


@pytest.mark.parametrize("name", STUBS)
def test_sections_hold_exactly_what_was_given(name: str) -> None:
    image = pe.check_application(OUTPUTS[name], "out.efi")
    contents = {each.name: pe.section_data(OUTPUTS[name], each) for each in image.sections}
    assert contents == {".text": TEXT.data, ".sbat": SBAT.data, **SECTIONS}


@pytest.mark.parametrize("name", STUBS)
def test_pefile_finds_sizes_and_checksum_right(name: str) -> None:
    image = pefile.PE(data=OUTPUTS[name])
    header = image.OPTIONAL_HEADER
    assert header.CheckSum == image.generate_checksum()
    assert header.SizeOfInitializedData == sum(each.SizeOfRawData for each in image.sections[1:])
    last = image.sections[-1]
    assert header.SizeOfImage == -(-(last.VirtualAddress + last.Misc_VirtualSize) // 4096) * 4096


@pytest.mark.parametrize("name", STUBS)
def test_sections_are_aligned_and_ascend(name: str) -> None:
    image = pefile.PE(data=OUTPUTS[name])
    addresses = [each.VirtualAddress for each in image.sections]
    assert addresses == sorted(addresses)
    assert [address % 4096 for address in addresses] == [0] * 5
    alignment = image.OPTIONAL_HEADER.FileAlignment
    assert [each.PointerToRawData % alignment for each in image.sections] == [0] * 5


def test_our_stub_has_room_for_eight_sections() -> None:
    stub = (DATA / "stub.efi").read_bytes()
    out = assemble.append_sections(stub, "stub.efi", {f".s{n}": b"x" for n in range(8)})
    before = len(pe.parse(stub, "stub.efi").sections)
    assert len(pe.check_application(out, "out.efi").sections) == before + 8


def test_objdump_lists_the_sections(tmp_path: Path) -> None:
    file = tmp_path / "out.efi"
    file.write_bytes(OUTPUTS["file alignment 512"])
    listing = run(["objdump", "--section-headers", file]).decode()
    assert [line.split()[1] for line in listing.splitlines() if " ." in line] == [
        ".text", ".sbat", ".cmdline", ".initrd", ".linux",
    ]  # fmt: skip


TIGHT = pe_bytes((SectionInput(".text", 0x1000, TEXT.data),), headers_size=512)


@pytest.mark.parametrize(
    ("stub", "sections", "fault"),
    [
        (TIGHT, {f".s{n}": b"x" for n in range(6)}, "room for 5 more section headers, 6 are"),
        (patched(STUBS["headers to grow"], SECTION_TABLE + 80, b"x"), SECTIONS, "is in use"),
        (STUBS["headers to grow"], {".sbat": b"x"}, "already has a section .sbat"),
        (STUBS["headers to grow"], {".linux": b""}, "section .linux would be empty"),
        (STUBS["headers to grow"], {".toolong9": b"x"}, "does not fit in 8 bytes"),
        (b"", SECTIONS, "empty file, not a PE image"),
        (STUBS["headers to grow"][:-1], SECTIONS, "truncated: section .sbat"),
    ],
)
def test_unusable_stub_is_refused(stub: bytes, sections: dict[str, bytes], fault: str) -> None:
    with pytest.raises(FormatError, match=rf"^stub\.efi: .*{fault}"):
        assemble.append_sections(stub, "stub.efi", sections)


@pytest.mark.parametrize("data", [bytes(8), b"\xff" * 8, b"\xff\xff" + bytes(6), bytes(range(64))])
def test_checksum_of_edge_cases_is_pefiles(data: bytes) -> None:
    total = 0
    for index in range(4, len(data), 2):
        total += int.from_bytes(data[index : index + 2], "little")
        total = (total & 0xFFFF) + (total >> 16)
    assert assemble.checksum(data, 0) == total + len(data)
