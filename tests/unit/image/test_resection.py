# SPDX-License-Identifier: Apache-2.0
"""A foreign application gets room for sections, and stays what it was in memory."""

from __future__ import annotations

import struct

import pefile
import pytest

from pykexec.efi import pe
from pykexec.errors import FormatError
from pykexec.image.assemble import append_sections
from pykexec.image.resection import make_room
from tests.support.launches import BUILD_ID, CODE, xen_bytes
from tests.unit.image.inputs import SECTION_TABLE, TEXT, SectionInput, patched, pe_bytes

XEN = xen_bytes()
ROOMY = make_room(XEN, "xen.efi", 6)


def test_without_it_there_is_no_room() -> None:
    with pytest.raises(FormatError, match=r"^xen.efi: room for 0 more section headers, 1 are"):
        append_sections(XEN, "xen.efi", {".config": b"x"})


def test_what_is_loaded_stays_where_it_was_and_what_debuggers_read_goes() -> None:
    image = pe.check_application(ROOMY, "out.efi")
    found = {each.name: (each.address, pe.section_data(ROOMY, each)) for each in image.sections}
    assert found == {
        ".text": (CODE.address, CODE.data),
        ".buildid": (BUILD_ID.address, pe.section_data(ROOMY, image.sections[1])),
    }
    assert image.size_of_image == 0x3000
    assert b"D" * 99 in XEN and b"D" * 99 not in ROOMY


def test_pefile_finds_no_symbols_and_the_build_s_number_where_the_directory_says() -> None:
    found = pefile.PE(data=ROOMY)
    assert found.FILE_HEADER.PointerToSymbolTable == found.FILE_HEADER.NumberOfSymbols == 0
    section = found.sections[1]
    (pointer,) = struct.unpack_from("<I", ROOMY, section.PointerToRawData + 24)
    assert ROOMY[pointer : pointer + 4] == b"RSDS"


def test_all_that_was_asked_for_fits() -> None:
    data = append_sections(ROOMY, "out.efi", {f".s{n}": b"x" for n in range(6)}, lowest=1 << 20)
    image = pe.check_application(data, "out.efi")
    assert [each.address for each in image.sections[2:]] == [
        (1 << 20) + 0x1000 * n for n in range(6)
    ]


def test_a_long_name_is_cut_and_its_section_kept_unless_it_is_thrown_away() -> None:
    kept = XEN.replace(struct.pack("<I", 0x42000040), struct.pack("<I", 0x40000040))
    names = [each.name for each in pe.parse(make_room(kept, "x", 1), "x").sections]
    assert names == [".text", ".buildid", ".debug_i"]


@pytest.mark.parametrize("at", [12, 16])
def test_a_name_without_its_table_stays(at: int) -> None:
    # Symbols at the end of the file, or so many that there is nothing behind them.
    spoilt = patched(XEN, 0x40 + at, struct.pack("<I", 0xFFFFFFF0))
    assert [each.name for each in pe.parse(make_room(spoilt, "x", 1), "x").sections][2] == "/4"


def test_what_is_signed_is_refused() -> None:
    signed = append_sections(pe_bytes(headers_size=1024), "x", {".a": b"x"})
    image = pe.parse(signed, "x")
    signed = patched(signed, image.certificate_entry, struct.pack("<II", len(signed), 8))
    with pytest.raises(FormatError, match=r"^x: is signed already"):
        make_room(signed + bytes(8), "x", 1)


def test_headers_that_are_in_use_are_refused() -> None:
    stub = pe_bytes((TEXT,))
    with pytest.raises(FormatError, match=r"^x: the space behind the section table is in use"):
        make_room(patched(stub, SECTION_TABLE + 60, b"x"), "x", 1)


@pytest.mark.parametrize(("at", "value"), [(36, 0), (36, 1 << 20), (32, 0)])
def test_an_alignment_that_makes_no_sense_is_named(at: int, value: int) -> None:
    spoilt = patched(XEN, 0x40 + 24 + at, struct.pack("<I", value))
    with pytest.raises(FormatError, match=r"^x: "):
        make_room(spoilt, "x", 1)


def test_a_first_section_that_is_too_near_is_named() -> None:
    stub = pe_bytes((SectionInput(".text", 0x1000, b"\xc3"),))
    with pytest.raises(FormatError, match=r"^x: no room for 100 more section headers"):
        make_room(stub, "x", 100)
