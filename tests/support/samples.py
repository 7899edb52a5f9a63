# SPDX-License-Identifier: Apache-2.0
"""Small files and messages that tests start from and then spoil; offsets as specified."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from pykexec import abi
from pykexec._native import lib

PE_OFFSET = 0x80
PE_OPTIONAL_OFFSET = PE_OFFSET + 24
PE_OPTIONAL_SIZE = 112
PE_SECTION_TABLE = PE_OPTIONAL_OFFSET + PE_OPTIONAL_SIZE


@dataclass(frozen=True, slots=True)
class PeSection:
    """A section header; its data lies at raw_offset of the file."""

    name: bytes
    address: int
    size: int
    raw_offset: int = 0
    raw_size: int = 0

    def header(self) -> bytes:
        """The 40 bytes of the section table."""
        return struct.pack(
            "<8sIIII12xI",
            self.name,
            self.size,
            self.address,
            self.raw_size,
            self.raw_offset,
            0x60000020,
        )


TEXT = PeSection(b".text", 0x1000, 0x100, 0x400, 0x200)
DATA = PeSection(b".data", 0x2000, 0x1000, 0x600, 0x200)
BSS = PeSection(b".bss", 0x3000, 0x800)


def pe_file(
    sections: Sequence[PeSection] = (TEXT, DATA, BSS),
    *,
    machine: int = 0x8664,
    magic: int = 0x20B,
    optional_size: int = PE_OPTIONAL_SIZE,
    entry: int = 0x1000,
    section_alignment: int = 0x1000,
    file_alignment: int = 0x200,
    size_of_image: int = 0x4000,
    size_of_headers: int = 0x400,
    subsystem: int = 10,
    size: int = 0x800,
) -> bytes:
    """A PE32+ EFI application of size bytes; everything after the headers counts 1, 2, 3 ..."""
    file = bytearray(index & 0xFF for index in range(size))
    file[:PE_OFFSET] = struct.pack("<2s58xI64x", b"MZ", PE_OFFSET)
    coff = struct.pack(
        "<4sHHIIIHH", b"PE\0\0", machine, len(sections), 0, 0, 0, optional_size, 0x22
    )
    optional = bytearray(PE_OPTIONAL_SIZE)
    struct.pack_into("<H", optional, 0, magic)
    struct.pack_into("<I", optional, 16, entry)
    struct.pack_into("<II", optional, 32, section_alignment, file_alignment)
    struct.pack_into("<II", optional, 56, size_of_image, size_of_headers)
    struct.pack_into("<H", optional, 68, subsystem)
    headers = coff + optional + b"".join(section.header() for section in sections)
    file[PE_OFFSET : PE_OFFSET + len(headers)] = headers
    return bytes(file)


SETUP_SIZE = 0x400
VERSION_OFFSET = 0x300


def bzimage_file(
    *,
    boot_flag: int = 0xAA55,
    magic: bytes = b"HdrS",
    protocol: int = 0x020F,
    kernel_version: int = VERSION_OFFSET - 0x200,
    relocatable: int = 1,
    alignment: int = 0x200000,
    xloadflags: int = 0x3F,
    syssize: int = 0x40,
    pe_magic: bytes = b"PE\0\0",
    size: int = 0x800,
) -> bytes:
    """A kernel file with a PE header and one setup sector (boot protocol 2.15)."""
    file = bytearray(pe_file([TEXT], section_alignment=0x20, file_alignment=0x20, size=0x800))
    file[PE_OFFSET : PE_OFFSET + 4] = pe_magic
    file[0x1F1:0x400] = bytes(0x400 - 0x1F1)
    struct.pack_into("<B2xI", file, 0x1F1, 1, syssize)
    struct.pack_into("<HH4sH", file, 0x1FE, boot_flag, 0x66EB, magic, protocol)
    struct.pack_into("<H", file, 0x20E, kernel_version)
    struct.pack_into("<IBBH", file, 0x230, alignment, relocatable, 21, xloadflags)
    struct.pack_into("<I", file, 0x238, 2047)
    struct.pack_into("<QI", file, 0x258, 0x1000000, 0x40000)
    file[VERSION_OFFSET : VERSION_OFFSET + 16] = b"6.1.0 (a@b) #1\0\0"
    return bytes(file[:size])


def device_node(type_: int, subtype: int, body: bytes = b"", length: int | None = None) -> bytes:
    """A device path node; length says something else than the truth when given."""
    return struct.pack("<BBH", type_, subtype, 4 + len(body) if length is None else length) + body


END_NODE = device_node(0x7F, 0xFF)
INITRD_NODE = device_node(
    4, 3, bytes.fromhex("27e46855 fc68 3d4f ac74 ca555231cc68".replace(" ", ""))
)


def request(op: int, tag: int, body: bytes = b"", size: int | None = None) -> bytes:
    """A request of the mailbox, padded; size says something else than the truth when given."""
    size = abi.sizeof("struct pk_request") + len(body) if size is None else size
    return abi.pack("struct pk_request", op=op, size=size, tag=tag) + body + bytes(-len(body) % 8)


def message(records: Sequence[bytes], **header: int) -> bytes:
    """A message of the mailbox; header overrides what is true."""
    body = b"".join(records)
    fields = {
        "magic": lib.PK_MESSAGE_MAGIC,
        "version": lib.PK_MESSAGE_VERSION,
        "nr_records": len(records),
        "size": abi.sizeof("struct pk_message") + len(body),
        "sequence": 7,
    }
    return abi.pack("struct pk_message", **(fields | header)) + body


def descriptor(
    type_: int, start: int, nr_pages: int, attribute: int = 0xF, step: int = 48
) -> bytes:
    """An EFI memory descriptor as OVMF steps them: 48 bytes."""
    return abi.pack(
        "struct efi_memory_descriptor",
        type=type_,
        physical_start=start,
        number_of_pages=nr_pages,
        attribute=attribute,
    ).ljust(step, b"\0")
