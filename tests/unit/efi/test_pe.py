# SPDX-License-Identifier: Apache-2.0
"""PE files: what is refused, with which words, and the digest that signing tools compute."""

from __future__ import annotations

import hashlib
import re
import struct
from pathlib import Path

import pefile
import pytest
from virt.peutils.pesign import pe_authenticode_hash

from pykexec._native import ffi, lib
from pykexec.efi import pe
from pykexec.errors import FormatError, ToolError
from pykexec.run import run
from tests.unit.image.inputs import (
    PE_OFFSET,
    SBAT,
    SECTION_TABLE,
    TEXT,
    SectionInput,
    kernel_bytes,
    patched,
    pe_bytes,
)

GOOD = pe_bytes()
BAD = {
    "empty file": b"",
    "not a PE image (no MZ at offset 0)": b"\x7fELF" + bytes(100),
    "truncated PE image (DOS header)": b"MZ",
    "not a PE image (no signature at 0x40)": patched(GOOD, PE_OFFSET, b"NE\0\0"),
    "truncated PE image (headers at 0x40, 80 bytes)": GOOD[:80],
    "truncated PE image (section table at 0xf8, 280 bytes)": GOOD[:280],
    "truncated: section .sbat ends at 0x800, the file at 0x7ff": GOOD[:-1],
    "wrong machine type: aarch64": pe_bytes(machine=0xAA64),
    "wrong machine type: 0xbeef": pe_bytes(machine=0xBEEF),
    "EFI runtime driver, not an EFI application": pe_bytes(subsystem=12),
    "subsystem 3, not an EFI application": pe_bytes(subsystem=3),
    "no sections": pe_bytes(()),
    "section .sbat [0x103f, 0x104b) overlaps .text [0x1000, 0x1040)": pe_bytes(
        (TEXT, SectionInput(".sbat", 0x103F, SBAT.data))
    ),
    "section .text [0x100, 0x140) overlaps the headers": pe_bytes(
        (SectionInput(".text", 0x100, TEXT.data),)
    ),
    "section .text [0x1000, 0x2001) is outside the image, which ends at 0x2000": pe_bytes(
        (SectionInput(".text", 0x1000, b"", 0x1001),), image_size=0x2000
    ),
    "entry point 0x1000 is outside every section": pe_bytes((SBAT,)),
    "bad SizeOfHeaders 0x100": patched(GOOD, PE_OFFSET + 24 + 60, b"\0\1\0\0"),
    "bad PE image: bad alignment": patched(GOOD, PE_OFFSET + 24 + 32, b"\1\3\0\0"),
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_application_is_refused_by_name_and_fault(fault: str) -> None:
    with pytest.raises(FormatError, match=re.escape(f"some.efi: {fault}")):
        pe.check_application(BAD[fault], "some.efi")


LARGE = {
    "1025 sections, at most 1024 are taken": patched(GOOD, PE_OFFSET + 6, b"\x01\x04"),
    "its sections have 2147483072 bytes that are not in the file": patched(
        GOOD, SECTION_TABLE + 8, b"\xc0\xff\xff\x7f"
    ),
    "its sections have 268434432 bytes that are not in the file": patched(
        patched(GOOD, SECTION_TABLE + 8, b"\0\0\0\x10"), SECTION_TABLE + 16, b"\0\0\0\x10"
    ),
}


@pytest.mark.parametrize("fault", LARGE)
def test_a_small_file_asks_for_little_time_and_memory(fault: str) -> None:
    with pytest.raises(FormatError, match=re.escape(f"some.efi: {fault}")):
        pe.parse(LARGE[fault], "some.efi")


@pytest.mark.parametrize("fault", BAD)
def test_stub_refuses_the_same_files(fault: str) -> None:
    data = BAD[fault]
    assert lib.pk_pe_parse(ffi.from_buffer(data), len(data), ffi.new("struct pk_pe *")) != 0


@pytest.mark.parametrize("size", range(0, len(GOOD), 7))
def test_truncation_anywhere_is_a_format_error(size: int) -> None:
    with pytest.raises(FormatError, match=r"^cut\.efi: "):
        pe.check_application(GOOD[:size], "cut.efi")


def test_sections_of_a_good_application() -> None:
    image = pe.check_application(GOOD, "good.efi")
    assert image.sections == (
        pe.Section(".text", 64, 0x1000, 512, 1024, 0x60000020),
        pe.Section(".sbat", 12, 0x2000, 512, 1536, 0x40000040),
    )
    assert image.section_table == SECTION_TABLE


def test_read_only_data_may_overlap_as_in_systemds_stub() -> None:
    data = pe_bytes((TEXT, SBAT, SectionInput(".sdmagic", 0x2008, b"systemd")))
    assert len(pe.check_application(data, "stub.efi").sections) == 3


def test_section_data_is_virtual_size_bytes() -> None:
    data = pe_bytes((SectionInput(".text", 0x1000, b"abc", 600),))
    assert pe.section_data(data, pe.parse(data, "x").sections[0]) == b"abc" + bytes(597)


@pytest.mark.parametrize("data", [GOOD, kernel_bytes()], ids=["application", "kernel"])
def test_authenticode_digest_is_that_of_virt_firmware(data: bytes) -> None:
    oracle = pe_authenticode_hash(pefile.PE(data=data))
    assert pe.authenticode_digest(data, pe.parse(data, "a.efi")) == oracle


TABLE_SIZE = 16
CERTIFICATES = PE_OFFSET + 24 + 112 + 4 * 8


def with_table(data: bytes, offset: int | None = None, size: int = TABLE_SIZE) -> bytes:
    """data whose headers say that a certificate table is at offset: behind it, unless told else."""
    where = len(data) if offset is None else offset
    table = b"\xcc" * TABLE_SIZE if offset is None else b""
    return patched(data, CERTIFICATES, struct.pack("<II", where, size)) + table


def digest(data: bytes) -> bytes:
    return pe.authenticode_digest(data, pe.parse(data, "a.efi"))


def hashed(data: bytes, *parts: slice) -> bytes:
    """SHA-256 of the headers but checksum and table's entry, and of these parts, byte by byte."""
    optional = PE_OFFSET + 24
    spans = [slice(0, optional + 64), slice(optional + 68, CERTIFICATES)]
    spans += [slice(CERTIFICATES + 8, 1024), *parts]
    return hashlib.sha256(b"".join(data[span] for span in spans)).digest()


def test_a_certificate_table_at_the_end_counts_for_nothing() -> None:
    assert digest(with_table(GOOD)) == digest(GOOD)


def test_bytes_behind_the_certificate_table_belong_to_the_digest() -> None:
    altered = with_table(GOOD) + b"evil"
    assert digest(altered) == hashed(altered, slice(1024, len(GOOD) + 4)) != digest(GOOD)


@pytest.mark.parametrize("offset", [0, 1024, 1536 - 8])
def test_where_the_certificate_table_lies_is_not_looked_at(offset: int) -> None:
    data = with_table(GOOD + b"behind" * 8, offset)
    assert digest(data) == hashed(data, slice(1024, len(data) - TABLE_SIZE))


@pytest.mark.parametrize("offset", [0, 1536])
def test_a_table_that_takes_bytes_of_sections_has_no_digest(offset: int) -> None:
    data = with_table(GOOD + b"behind", offset)
    with pytest.raises(FormatError, match="certificate table lies over the sections"):
        digest(data)


def test_a_section_without_an_offset_counts_from_the_files_begin() -> None:
    data = patched(GOOD, SECTION_TABLE + 40 + 20, struct.pack("<I", 0))
    assert digest(data) == hashed(data, slice(0, 512), slice(1024, 1536), slice(2048, None))


def test_signing_tools_tell_the_same_files_apart(tmp_path: Path) -> None:
    """sbverify, and so the firmware: the signature is of the file without what was added."""
    key, certificate, signed = (tmp_path / name for name in ("key", "crt", "signed.efi"))
    words: list[str | Path] = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=x",
    ]
    run([*words, "-keyout", key, "-out", certificate], timeout_s=60)
    (tmp_path / "plain.efi").write_bytes(GOOD)
    sign: list[str | Path] = ["sbsign", "--key", key, "--cert", certificate, "--output", signed]
    run([*sign, tmp_path / "plain.efi"], timeout_s=60)
    verify: list[str | Path] = ["sbverify", "--cert", certificate, signed]
    run(verify, timeout_s=60)
    assert digest(signed.read_bytes()) == digest(GOOD)
    signed.write_bytes(signed.read_bytes() + bytes(8))
    with pytest.raises(ToolError, match="hash check"):
        run(verify, timeout_s=60)
    assert digest(signed.read_bytes()) != digest(GOOD)
