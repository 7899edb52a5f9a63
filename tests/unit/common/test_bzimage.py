# SPDX-License-Identifier: Apache-2.0
"""Kernel files: what the setup header must say before a byte of it is used."""

from __future__ import annotations

import pytest

from pykexec._native import ffi, lib
from pykexec.abi import BzimageFault
from tests.support.samples import SETUP_SIZE, VERSION_OFFSET, bzimage_file, pe_file


def parse(file: bytes) -> BzimageFault:
    return BzimageFault(lib.pk_bzimage_parse(file, len(file), ffi.new("struct pk_bzimage *")))


def test_a_good_kernel_is_described() -> None:
    kernel = ffi.new("struct pk_bzimage *")
    assert lib.pk_bzimage_parse(bzimage_file(), 0x800, kernel) == BzimageFault.OK
    assert (kernel.protocol, kernel.cmdline_size) == (0x020F, 2047)
    assert (kernel.init_size, kernel.pref_address) == (0x40000, 0x1000000)
    assert (kernel.kernel_alignment, kernel.version_offset) == (0x200000, VERSION_OFFSET)


@pytest.mark.parametrize(
    ("file", "fault"),
    [
        (b"", BzimageFault.TRUNCATED),
        (b"#!/bin/sh\n", BzimageFault.TRUNCATED),
        (bytes(0x800), BzimageFault.NOT_BZIMAGE),
        (pe_file(), BzimageFault.NOT_BZIMAGE),
        (bzimage_file(boot_flag=0xAA54), BzimageFault.NOT_BZIMAGE),
        (bzimage_file(magic=b"HdrT"), BzimageFault.NOT_BZIMAGE),
        (bzimage_file(protocol=0x020C), BzimageFault.OK),
        (bzimage_file(protocol=0x020B), BzimageFault.TOO_OLD),
        (bzimage_file(protocol=0), BzimageFault.TOO_OLD),
        (bzimage_file(xloadflags=0x3E), BzimageFault.NOT_64BIT),
        (bzimage_file(relocatable=0), BzimageFault.NOT_RELOCATABLE),
        (bzimage_file(alignment=0), BzimageFault.NOT_RELOCATABLE),
        (bzimage_file(alignment=0x200001), BzimageFault.NOT_RELOCATABLE),
        (bzimage_file(syssize=0x41), BzimageFault.TRUNCATED),
        (bzimage_file(syssize=0xFFFFFFFF), BzimageFault.TRUNCATED),
        (bzimage_file(pe_magic=bytes(4)), BzimageFault.NO_EFI_STUB),
        (b"\0\0" + bzimage_file()[2:], BzimageFault.NO_EFI_STUB),
    ],
)
def test_each_fault_has_its_name(file: bytes, fault: BzimageFault) -> None:
    assert parse(file) == fault


@pytest.mark.parametrize(("xloadflags", "has"), [(0x3F, False), (0x5F, True), (0x41, True)])
def test_whether_it_can_have_five_levels_of_page_tables(xloadflags: int, has: bool) -> None:
    kernel = ffi.new("struct pk_bzimage *")
    file = bzimage_file(xloadflags=xloadflags)
    assert lib.pk_bzimage_parse(file, len(file), kernel) == BzimageFault.OK
    assert kernel.has_five_levels is has


@pytest.mark.parametrize("size", range(0, 0x800, 0x11))
def test_every_truncation_is_found(size: int) -> None:
    assert parse(bzimage_file(size=size)) == BzimageFault.TRUNCATED


def version_offset(file: bytes) -> int:
    kernel = ffi.new("struct pk_bzimage *")
    assert lib.pk_bzimage_parse(file, len(file), kernel) == BzimageFault.OK
    return int(kernel.version_offset)


@pytest.mark.parametrize("kernel_version", [0, SETUP_SIZE - 0x200, 0xFFFF])
def test_a_version_outside_the_setup_code_is_none(kernel_version: int) -> None:
    assert version_offset(bzimage_file(kernel_version=kernel_version)) == 0


def test_a_version_without_terminator_is_none() -> None:
    file = bytearray(bzimage_file())
    file[VERSION_OFFSET:SETUP_SIZE] = b"x" * (SETUP_SIZE - VERSION_OFFSET)
    assert version_offset(bytes(file)) == 0
