# SPDX-License-Identifier: Apache-2.0
"""PE files: every lie of a header is found before anything is copied."""

from __future__ import annotations

import random
import struct
from dataclasses import replace

import pytest

from pykexec._native import ffi, lib
from pykexec.abi import PeFault
from tests.support.samples import BSS, DATA, PE_OFFSET, PE_SECTION_TABLE, TEXT, PeSection, pe_file

TOP32 = 0xFFFFFFFF
READ_ONLY = 0x40000040


def parse(file: bytes) -> PeFault:
    return PeFault(lib.pk_pe_parse(file, len(file), ffi.new("struct pk_pe *")))


def patched(offset: int, layout: str, value: int, file: bytes | None = None) -> bytes:
    data = bytearray(file or pe_file())
    struct.pack_into(layout, data, offset, value)
    return bytes(data)


def test_a_good_file_is_described() -> None:
    pe = ffi.new("struct pk_pe *")
    assert lib.pk_pe_parse(pe_file(), 0x800, pe) == PeFault.OK
    assert (pe.size_of_image, pe.size_of_headers, pe.section_alignment) == (0x4000, 0x400, 0x1000)
    assert (pe.entry, pe.section_table, pe.nr_sections) == (0x1000, PE_SECTION_TABLE, 3)
    assert pe.subsystem == 10


@pytest.mark.parametrize(
    ("file", "application"),
    [
        (pe_file(), True),
        (pe_file(section_alignment=0), True),
        (pe_file(subsystem=11), False),
        (pe_file(subsystem=12), False),
        (pe_file(machine=0xAA64), False),
        (pe_file()[:100], False),
        (b"", False),
    ],
)
def test_an_application_is_told_by_its_headers_alone(file: bytes, application: bool) -> None:
    assert lib.pk_pe_is_application(file, len(file)) is application


@pytest.mark.parametrize(
    ("file", "fault"),
    [
        (b"", PeFault.NOT_PE),
        (b"M", PeFault.NOT_PE),
        (b"MZ", PeFault.TRUNCATED),
        (b"\x7fELF" + bytes(100), PeFault.NOT_PE),
        (bytes(0x800), PeFault.NOT_PE),
        (patched(PE_OFFSET, "<I", 0x4550 << 8), PeFault.NOT_PE),
        (patched(0x3C, "<I", TOP32), PeFault.TRUNCATED),
        (patched(0x3C, "<I", 0x7F0), PeFault.TRUNCATED),
        (patched(0x3C, "<I", 0), PeFault.NOT_PE),
        (pe_file(machine=0x14C), PeFault.BAD_MACHINE),
        (pe_file(machine=0xAA64), PeFault.BAD_MACHINE),
        (pe_file(magic=0x10B), PeFault.NOT_PE32_PLUS),
        (pe_file(optional_size=111), PeFault.NOT_PE32_PLUS),
        (pe_file(optional_size=0xFFFF), PeFault.TRUNCATED),
        (pe_file(subsystem=3), PeFault.NOT_EFI),
        (pe_file(subsystem=11), PeFault.NOT_EFI),
        (pe_file(section_alignment=0), PeFault.BAD_ALIGNMENT),
        (pe_file(section_alignment=0x1001), PeFault.BAD_ALIGNMENT),
        (pe_file(file_alignment=0), PeFault.BAD_ALIGNMENT),
        (pe_file(file_alignment=3), PeFault.BAD_ALIGNMENT),
        (pe_file([]), PeFault.NO_SECTION),
        (pe_file(size_of_headers=0x801), PeFault.TRUNCATED),
        (pe_file(size_of_headers=0x100), PeFault.BAD_SECTION),
        (pe_file(size_of_headers=0), PeFault.BAD_SECTION),
        (pe_file(size_of_image=0x3FF), PeFault.BAD_SECTION),
        (pe_file(size_of_image=0), PeFault.BAD_SECTION),
        (pe_file(entry=0), PeFault.BAD_ENTRY),
        (pe_file(entry=0xFFF), PeFault.BAD_ENTRY),
        (pe_file(entry=0x1100), PeFault.BAD_ENTRY),
        (pe_file(entry=TOP32), PeFault.BAD_ENTRY),
        (patched(PE_OFFSET + 6, "<H", 0xFFFF), PeFault.TRUNCATED),
        (patched(PE_OFFSET + 6, "<H", 97, pe_file(size=0x2000)), PeFault.BAD_SECTION),
    ],
)
def test_headers_that_lie(file: bytes, fault: PeFault) -> None:
    assert parse(file) == fault


@pytest.mark.parametrize("size", range(0x800))
def test_every_truncation_is_found(size: int) -> None:
    assert parse(pe_file()[:size]) != PeFault.OK


@pytest.mark.parametrize(
    ("section", "fault"),
    [
        (replace(DATA, size=0x2000), PeFault.OK),
        (replace(DATA, size=0x2001), PeFault.BAD_SECTION),
        (replace(DATA, address=TOP32), PeFault.BAD_SECTION),
        (replace(DATA, size=TOP32), PeFault.BAD_SECTION),
        (replace(DATA, raw_offset=0x601), PeFault.BAD_SECTION),
        (replace(DATA, raw_size=TOP32), PeFault.BAD_SECTION),
        (replace(DATA, raw_offset=TOP32, raw_size=TOP32), PeFault.BAD_SECTION),
        (replace(DATA, raw_offset=TOP32, raw_size=0), PeFault.OK),
        (replace(DATA, raw_offset=0, raw_size=TOP32), PeFault.OK),
        # Without a virtual size the data's counts.
        (replace(DATA, size=0), PeFault.OK),
        (replace(DATA, size=0, raw_offset=0, raw_size=TOP32), PeFault.BAD_SECTION),
        (replace(DATA, address=0x10FF), PeFault.OVERLAP),
        (replace(DATA, address=0xF01, size=0x100), PeFault.OVERLAP),
        (replace(DATA, address=0x1050, size=1), PeFault.OVERLAP),
        (replace(DATA, address=0xFFF, size=0x1002), PeFault.OVERLAP),
        (replace(DATA, address=0x3FF, size=0x10), PeFault.OVERLAP),
        (replace(DATA, address=0), PeFault.OVERLAP),
        (PeSection(b".empty", 0x1050, 0), PeFault.OK),
    ],
)
def test_sections_that_lie(section: PeSection, fault: PeFault) -> None:
    assert parse(pe_file([TEXT, section])) == fault
    assert parse(pe_file([section, TEXT])) == fault


@pytest.mark.parametrize(
    ("characteristics", "fault"),
    [
        (READ_ONLY, PeFault.OK),
        (READ_ONLY | 0x80000000, PeFault.OVERLAP),
        (READ_ONLY | 0x20000000, PeFault.OVERLAP),
    ],
)
def test_only_read_only_data_may_overlap(characteristics: int, fault: PeFault) -> None:
    file = pe_file([TEXT, replace(DATA, size=0x134), replace(DATA, address=0x2100)])
    first, second = (PE_SECTION_TABLE + 40 * index + 36 for index in (1, 2))
    file = patched(first, "<I", READ_ONLY, file)
    assert parse(patched(second, "<I", characteristics, file)) == fault


def layout(file: bytes) -> bytes:
    pe = ffi.new("struct pk_pe *")
    assert lib.pk_pe_parse(file, len(file), pe) == PeFault.OK
    image = ffi.new("u8[]", pe.size_of_image)
    ffi.memmove(image, b"\xee" * pe.size_of_image, pe.size_of_image)
    lib.pk_pe_layout(file, pe, image)
    return bytes(ffi.buffer(image))


def test_layout_copies_headers_and_sections_and_zeroes_the_rest() -> None:
    file = pe_file()
    expected = bytearray(0x4000)
    expected[:0x400] = file[:0x400]
    # .text has more data than memory, .data less, .bss none.
    expected[0x1000:0x1100] = file[0x400:0x500]
    expected[0x2000:0x2200] = file[0x600:0x800]
    assert layout(file) == expected


@pytest.mark.parametrize("section", [BSS, replace(BSS, raw_size=0x200), replace(BSS, raw_offset=5)])
def test_what_has_no_data_in_the_file_is_zero(section: PeSection) -> None:
    assert layout(pe_file([TEXT, section]))[0x3000:] == bytes(0x1000)


@pytest.mark.parametrize("seed", range(500))
def test_a_damaged_header_is_refused_or_harmless(seed: int) -> None:
    rng = random.Random(seed)
    data = bytearray(pe_file())
    for _ in range(rng.randrange(1, 4)):
        data[rng.randrange(PE_OFFSET, PE_SECTION_TABLE + 120)] = rng.choice(
            [0, 1, 0x7F, 0x80, 0xFF]
        )
    pe = ffi.new("struct pk_pe *")
    if lib.pk_pe_parse(bytes(data), len(data), pe) == PeFault.OK and pe.size_of_image < 1 << 24:
        assert len(layout(bytes(data))) == pe.size_of_image


def find(image: bytes, name: bytes) -> tuple[int, int] | PeFault:
    found = ffi.new("struct pk_range *")
    fault = PeFault(lib.pk_pe_find_section(image, len(image), name, found))
    return (found.start, found.size) if fault == PeFault.OK else fault


NAMES = [replace(TEXT, name=b".longest"), replace(DATA, name=b".longes"), BSS]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (b".bss", (0x3000, 0x800)),
        (b".longest", (0x1000, 0x100)),
        (b".longes", (0x2000, 0x1000)),
        (b".longest1", PeFault.NO_SECTION),
        (b".bs", PeFault.NO_SECTION),
        (b".bss1", PeFault.NO_SECTION),
        (b"", PeFault.NO_SECTION),
    ],
)
def test_sections_are_found_by_their_whole_name(
    name: bytes, found: tuple[int, int] | PeFault
) -> None:
    assert find(layout(pe_file(NAMES)), name) == found


@pytest.mark.parametrize(
    ("image", "fault"),
    [
        (layout(pe_file())[:0x37FF], PeFault.BAD_SECTION),
        (layout(pe_file())[:0x100], PeFault.TRUNCATED),
        (b"", PeFault.NOT_PE),
        (pe_file([replace(BSS, size=TOP32)]), PeFault.BAD_SECTION),
        (pe_file([replace(BSS, address=TOP32, size=TOP32)]), PeFault.BAD_SECTION),
        (pe_file(machine=0x14C), PeFault.BAD_MACHINE),
    ],
)
def test_a_section_outside_the_image_is_not_found(image: bytes, fault: PeFault) -> None:
    assert find(image, b".bss") == fault
