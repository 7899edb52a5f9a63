# SPDX-License-Identifier: Apache-2.0
"""Appending sections to a stub: a unified kernel image, the same bytes for the same sections."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from pykexec.abi import Limit
from pykexec.efi import pe
from pykexec.errors import FormatError

_INITIALIZED_DATA = 0x00000040
_READABLE = 0x40000000
_LIMIT = 1 << 32


def append_sections(
    stub: bytes, source: str, sections: Mapping[str, bytes], *, lowest: int = 0
) -> bytes:
    """The stub (an EFI application; source names it in errors) with sections appended in their
    order.

    Each section is mapped behind all others, the first at lowest or higher; its VirtualSize is
    exactly what was given. The headers' sizes and checksum are brought up to date. FormatError if
    the stub has a section of that name, is signed, or has no room for the section headers.
    """
    image = pe.check_application(stub, source)
    if image.certificates_size:
        raise FormatError(f"{source}: is signed already; sign the image, not the stub")
    headers_size = _headers_size(stub, image, source, len(sections))
    end = max(section.file_end for section in image.sections)
    out = bytearray(stub[:end])
    address = max(lowest, *(section.end for section in image.sections))
    table = image.section_table_end
    for name, content in sections.items():
        _check_new(image, source, name, content)
        out += bytes(-len(out) % image.file_alignment)
        address = align(address, max(image.section_alignment, Limit.PAGE_SIZE))
        file_size = align(len(content), image.file_alignment)
        if max(address + len(content), len(out) + file_size) >= _LIMIT:
            raise FormatError(f"{source}: no image can hold 4 GiB (section {name})")
        struct.pack_into(
            "<8sIIIIIIHHI",
            out,
            table,
            name.encode(),
            len(content),
            address,
            file_size,
            len(out),
            0,
            0,
            0,
            0,
            _INITIALIZED_DATA | _READABLE,
        )
        table += pe.SECTION_HEADER_SIZE
        out += content + bytes(file_size - len(content))
        address += len(content)
    _update_headers(out, image, len(image.sections) + len(sections), headers_size, address)
    return bytes(out)


def checksum(data: bytes, offset: int) -> int:
    """The PE checksum of data, whose CheckSum field is at offset: ones' complement sum of 16-bit
    words, plus size.

    Summing with end-around carry is arithmetic modulo 0xffff, so one big integer does it fast.
    """
    blanked = bytearray(data)
    blanked[offset : offset + 4] = bytes(4)
    value = int.from_bytes(blanked, "little")
    total = value % 0xFFFF
    if not total and value:
        total = 0xFFFF
    return total + len(data)


def _headers_size(stub: bytes, image: pe.Image, source: str, nr_new: int) -> int:
    """The new SizeOfHeaders, when the space in front of the first section holds nr_new more
    headers.
    """
    end = image.section_table_end + pe.SECTION_HEADER_SIZE * nr_new
    room = min(
        min(section.file_offset for section in image.sections if section.file_size),
        min(section.address for section in image.sections),
    )
    if end > room:
        free = (room - image.section_table_end) // pe.SECTION_HEADER_SIZE
        raise FormatError(f"{source}: room for {free} more section headers, {nr_new} are needed")
    if any(stub[image.section_table_end : end]):
        raise FormatError(f"{source}: the space behind the section table is in use")
    return max(image.size_of_headers, min(align(end, image.file_alignment), room))


def _check_new(image: pe.Image, source: str, name: str, content: bytes) -> None:
    if image.section(name) is not None:
        raise FormatError(f"{source}: already has a section {name}")
    if not content:
        raise FormatError(f"{source}: section {name} would be empty")
    if not 0 < len(name.encode()) <= 8:
        raise FormatError(f"{source}: section name {name!r} does not fit in 8 bytes")


def _update_headers(
    out: bytearray, image: pe.Image, nr_sections: int, headers_size: int, end: int
) -> None:
    # NumberOfSections; no COFF symbols: they were behind the stub's last section.
    struct.pack_into("<H", out, image.pe_offset + 6, nr_sections)
    struct.pack_into("<II", out, image.pe_offset + 12, 0, 0)
    initialized = 0
    for index in range(nr_sections):
        header = image.section_table + pe.SECTION_HEADER_SIZE * index
        (file_size,) = struct.unpack_from("<I", out, header + 16)
        (characteristics,) = struct.unpack_from("<I", out, header + 36)
        initialized += file_size if characteristics & _INITIALIZED_DATA else 0
    struct.pack_into("<I", out, image.optional_offset + 8, initialized)
    struct.pack_into("<I", out, image.optional_offset + 56, align(end, image.section_alignment))
    struct.pack_into("<I", out, image.optional_offset + 60, headers_size)
    struct.pack_into("<I", out, image.checksum_offset, checksum(bytes(out), image.checksum_offset))


def align(value: int, alignment: int) -> int:
    """value, or the next multiple of alignment."""
    return -(-value // alignment) * alignment
