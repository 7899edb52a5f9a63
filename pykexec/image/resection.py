# SPDX-License-Identifier: Apache-2.0
"""Making room in a foreign EFI application for more sections: its contents move in the file, never
in memory, and what only debuggers read is left out.
"""

from __future__ import annotations

import struct

from pykexec.efi import pe
from pykexec.errors import FormatError
from pykexec.image.assemble import align

_DISCARDABLE = 0x02000000
_DIRECTORY_DEBUG = 6
_DIRECTORIES = 112  # offset in the optional header of PE32+
_DEBUG_ENTRY_SIZE, _DEBUG_POINTER = 28, 24
_DEBUG_ENTRIES_MAX = 64
_SYMBOL_SIZE = 18
_ALIGNMENT_MAX = 1 << 16  # PE, 3.4.2


def make_room(data: bytes, source: str, nr_new: int) -> bytes:
    """The application (source names it in errors) with room for nr_new more section headers,
    without symbols and the .debug sections that they go with.

    Sections keep their addresses; a name that the string table held is cut to what a header takes.
    FormatError if it is signed, or if there is no room in front of its first section.
    """
    image = pe.check_application(data, source)
    if image.certificates_size:
        raise FormatError(f"{source}: is signed already; the signature would not hold")
    if not 0 < image.file_alignment <= _ALIGNMENT_MAX or not image.section_alignment:
        raise FormatError(f"{source}: an alignment that no image has")
    names = {index: _long_name(data, image, each.name) for index, each in enumerate(image.sections)}
    kept = [
        (section, names[index])
        for index, section in enumerate(image.sections)
        if not (names[index].startswith(".debug") and section.characteristics & _DISCARDABLE)
    ]
    if not kept:
        raise FormatError(f"{source}: only debug information")
    if any(data[image.section_table_end : image.size_of_headers]):
        raise FormatError(f"{source}: the space behind the section table is in use")
    headers_end = image.section_table + pe.SECTION_HEADER_SIZE * (len(kept) + nr_new)
    headers_size = align(headers_end, image.file_alignment)
    if headers_size > min(section.address for section, _ in kept):
        raise FormatError(f"{source}: no room for {nr_new} more section headers")
    out = bytearray(data[: image.section_table].ljust(headers_size, b"\0"))
    moved: list[tuple[pe.Section, int]] = []
    for number, (section, name) in enumerate(kept):
        content = data[section.file_offset : section.file_end] if section.file_end else b""
        at = len(out) if content else 0
        header = image.section_table + pe.SECTION_HEADER_SIZE * number
        old = image.section_table + pe.SECTION_HEADER_SIZE * image.sections.index(section)
        out[header : header + pe.SECTION_HEADER_SIZE] = data[old : old + pe.SECTION_HEADER_SIZE]
        struct.pack_into("<8s", out, header, name.encode()[:8])
        struct.pack_into("<II", out, header + 16, len(content), at)
        out += content + bytes(-len(content) % image.file_alignment)
        moved.append((section, at))
    _update_headers(out, image, moved, headers_size)
    return bytes(out)


def _update_headers(
    out: bytearray, image: pe.Image, moved: list[tuple[pe.Section, int]], headers_size: int
) -> None:
    end = max(section.end for section, _ in moved)
    struct.pack_into("<H", out, image.pe_offset + 6, len(moved))
    struct.pack_into("<II", out, image.pe_offset + 12, 0, 0)  # No symbols.
    struct.pack_into("<II", out, image.optional_offset + 56, align(end, image.section_alignment),
                     headers_size)  # fmt: skip
    struct.pack_into("<I", out, image.checksum_offset, 0)
    if image.nr_directories <= _DIRECTORY_DEBUG:
        return
    entry = image.optional_offset + _DIRECTORIES + 8 * _DIRECTORY_DEBUG
    address, size = struct.unpack_from("<II", out, entry)
    for number in range(min(size // _DEBUG_ENTRY_SIZE, _DEBUG_ENTRIES_MAX)):
        _move_debug_entry(out, address + _DEBUG_ENTRY_SIZE * number, moved)


def _move_debug_entry(out: bytearray, address: int, moved: list[tuple[pe.Section, int]]) -> None:
    """An entry has, beside the address of what it describes, its place in the file."""
    for section, at in moved:
        inside = address - section.address
        if at and 0 <= inside <= section.file_size - _DEBUG_ENTRY_SIZE:
            field = at + inside + _DEBUG_POINTER
            (pointer,) = struct.unpack_from("<I", out, field)
            for other, new in moved:
                if other.file_offset <= pointer < other.file_end:
                    struct.pack_into("<I", out, field, pointer - other.file_offset + new)
                    return


def _long_name(data: bytes, image: pe.Image, name: str) -> str:
    """What "/4" stands for: an offset in the string table behind the symbols (PE, 3 and 5.3)."""
    if not name.startswith("/") or not name[1:].isdecimal():
        return name
    symbols, count = struct.unpack_from("<II", data, image.pe_offset + 12)
    start = symbols + _SYMBOL_SIZE * count + int(name[1:])
    end = data.find(b"\0", start, start + 256)
    return data[start:end].decode("ascii", "replace") if symbols and end > start else name
