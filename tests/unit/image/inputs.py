# SPDX-License-Identifier: Apache-2.0
"""Small PE files and kernels, made from nothing, for the tests of PE files and images."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from pykexec.image import cpio

PE_OFFSET = 0x40
OPTIONAL_SIZE = 112 + 6 * 8
SECTION_TABLE = PE_OFFSET + 24 + OPTIONAL_SIZE


@dataclass(frozen=True, slots=True)
class SectionInput:
    """A section at address with data; virtual_size is the size of data unless given."""

    name: str
    address: int
    data: bytes
    virtual_size: int | None = None
    characteristics: int = 0x40000040
    """Initialised data, readable."""


TEXT = SectionInput(".text", 0x1000, b"\xc3" * 64, characteristics=0x60000020)
SBAT = SectionInput(".sbat", 0x2000, b"sbat,1,test\n")


def pe_bytes(
    sections: Sequence[SectionInput] = (TEXT, SBAT),
    *,
    machine: int = 0x8664,
    subsystem: int = 10,
    file_alignment: int = 512,
    headers_size: int = 1024,
    image_size: int = 0x3000,
) -> bytes:
    """An EFI application of these sections whose first one is entered at its start."""
    coff = struct.pack("<4sHHIIIHH", b"PE", machine, len(sections), 0, 0, 0, OPTIONAL_SIZE, 0x22E)
    optional = struct.pack("<HBBIIIIIQII", 0x20B, 0, 0, 0, 0, 0, 0x1000, 0x1000, 0, 4096,
                           file_alignment)  # fmt: skip
    optional += struct.pack("<6HI", 0, 0, 0, 0, 0, 0, 0)
    optional += struct.pack("<IIIHH", image_size, headers_size, 0, subsystem, 0)
    optional += struct.pack("<4QII", 0, 0, 0, 0, 0, 6) + bytes(6 * 8)
    dos = b"MZ" + bytes(58) + struct.pack("<I", PE_OFFSET)
    table, body = b"", b""
    for section in sections:
        raw_size = -(-len(section.data) // file_alignment) * file_alignment
        size = len(section.data) if section.virtual_size is None else section.virtual_size
        table += struct.pack(
            "<8sIIII12xI",
            section.name.encode(),
            size,
            section.address,
            raw_size,
            headers_size + len(body),
            section.characteristics,
        )
        body += section.data.ljust(raw_size, b"\0")
    return (dos + coff + optional + table).ljust(headers_size, b"\0") + body


def kernel_bytes(
    version: str = "6.1.0-test (me) #1",
    init_size: int = 1 << 20,
    magic: bytes = b"HdrS",
    stub_version: int = 3,
    more: Sequence[SectionInput] = (),
) -> bytes:
    """A kernel with EFI stub as far as its headers go (boot.rst, "Details of Header Fields"), and
    more sections.
    """
    size = 0x2000 + 0x1000 * len(more)
    data = bytearray(pe_bytes((TEXT, *more), headers_size=2048, image_size=size))
    struct.pack_into("<H", data, PE_OFFSET + 24 + 44, stub_version)
    text = version.encode("latin-1")
    data[0x300 : 0x300 + len(text)] = text
    struct.pack_into("<B", data, 0x1F1, 3)
    struct.pack_into("<I", data, 0x1F4, 32)
    struct.pack_into("<HH4sH", data, 0x1FE, 0xAA55, 0x6CEB, magic, 0x20F)
    struct.pack_into("<H", data, 0x20E, 0x100)
    struct.pack_into("<IBBHI", data, 0x230, 1 << 21, 1, 21, 1, 2047)
    struct.pack_into("<QI", data, 0x258, 1 << 24, init_size)
    return bytes(data)


def patched(data: bytes, offset: int, change: bytes) -> bytes:
    """data with the bytes at offset replaced."""
    return data[:offset] + change + data[offset + len(change) :]


# An archive with one entry of each kind, out of order.
TREE = [
    cpio.link("bin/sh", "busybox"),
    cpio.file("etc/a", b"odd"),
    cpio.file("/init", b"#!/bin/sh\n", 0o755),
    cpio.file("bin/busybox", b"\x7fELF", 0o755),
    cpio.directory("tmp", 0o700),
    cpio.file("bin.d/x", b""),
    cpio.character_device("dev/console", 5, 1),
]
