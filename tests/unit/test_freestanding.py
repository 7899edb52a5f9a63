# SPDX-License-Identifier: Apache-2.0
"""What runs without an operating system: built anywhere, the bytes are the same and well formed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pefile
import pytest

from pykexec import _freestanding
from pykexec._native import ffi, lib
from pykexec.abi import BzimageFault
from pykexec.efi import pe

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "csrc"
UNINITIALIZED_DATA = 0x80
Build = Callable[[Path, Path], None]


@pytest.fixture(scope="module", name="built")
def built_fixture(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Build], bytes]:
    """A function that gives what build makes of this tree; it is built once."""

    @cache
    def built(build: Build) -> bytes:
        path = tmp_path_factory.mktemp("built") / "file"
        build(CSRC, path)
        return path.read_bytes()

    return built


@pytest.fixture(name="stub")
def stub_fixture(built: Callable[[Build], bytes]) -> bytes:
    """stub.efi."""
    return built(_freestanding.build_stub)


@pytest.mark.parametrize("build", [_freestanding.build_stub, _freestanding.build_resume])
def test_bytes_do_not_depend_on_where_the_tree_lies(
    build: Build, built: Callable[[Build], bytes], tmp_path: Path
) -> None:
    elsewhere = tmp_path / "another" / "place"
    shutil.copytree(CSRC, elsewhere)
    build(elsewhere, tmp_path / "there")
    assert built(build) == (tmp_path / "there").read_bytes()


def test_no_page_of_the_stub_is_both_writable_and_executable(stub: bytes) -> None:
    with pefile.PE(data=stub) as image:
        for section in image.sections:
            flags = section.Characteristics
            assert not (flags & 0x80000000 and flags & 0x20000000), section.Name
        assert image.OPTIONAL_HEADER.DllCharacteristics & 0x100, "NX_COMPAT"


def test_every_relocation_of_the_stub_lies_in_its_data(stub: bytes) -> None:
    with pefile.PE(data=stub) as image:
        data = next(s for s in image.sections if s.Name.startswith(b".data"))
        rodata = next(s for s in image.sections if s.Name.startswith(b".rodata"))
        entries = [e for block in image.DIRECTORY_ENTRY_BASERELOC for e in block.entries if e.type]
        assert entries
        for entry in entries:
            assert any(
                s.VirtualAddress <= entry.rva < s.VirtualAddress + s.SizeOfRawData
                for s in (data, rodata)
            ), hex(entry.rva)


def build_hello(csrc: Path, output: Path) -> None:
    """The test application, all of whose data are zero at first."""
    _freestanding.build_payload(csrc, "hello", output)


@pytest.mark.parametrize(
    "build", [_freestanding.build_stub, build_hello, _freestanding.build_ramdisk]
)
def test_shims_loader_would_take_every_section(
    build: Build, built: Callable[[Build], bytes]
) -> None:
    with pefile.PE(data=built(build)) as image:
        headers = image.OPTIONAL_HEADER.SizeOfHeaders
        for section in image.sections:  # handle_image() of rhboot/shim, pe.c
            assert section.Misc_VirtualSize and section.VirtualAddress >= headers, section.Name
            in_file = section.PointerToRawData >= headers
            assert in_file or section.Characteristics & UNINITIALIZED_DATA, section.Name


def test_the_headers_have_room_for_the_sections_of_an_image(stub: bytes) -> None:
    image = pe.check_application(stub, "stub.efi")
    free = min(s.file_offset for s in image.sections if s.file_size) - image.section_table_end
    assert free >= 8 * pe.SECTION_HEADER_SIZE


def test_a_test_build_differs_from_the_product(stub: bytes, tmp_path: Path) -> None:
    _freestanding.build_stub(CSRC, tmp_path / "stub.efi", ["PK_TEST_NO_DRAIN"])
    assert (tmp_path / "stub.efi").read_bytes() != stub


def test_kexec_takes_the_resume_image_for_a_relocatable_64_bit_kernel(
    built: Callable[[Build], bytes],
) -> None:
    data = built(_freestanding.build_resume)
    assert len(data) < 8192
    parsed = ffi.new("struct pk_bzimage *")
    fault = lib.pk_bzimage_parse(data, len(data), parsed)
    # Only the EFI stub is missing, which kexec does not ask for.
    assert fault == BzimageFault.NO_EFI_STUB
