# SPDX-License-Identifier: Apache-2.0
"""Turn a static-pie ELF that was linked with stub.lds into a PE32+ EFI application or driver.

Debian's gcc has no PE target; ld's i386pep emulation drops absolute relocations of ELF objects,
and tables of function pointers need them. Layout follows PE/COFF 8.3; the headers fill one page,
which leaves room for the section headers that ukify and `pykexec build` add.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection

_HEADERS_SIZE: Final = 0x1000
_FILE_ALIGNMENT: Final = 0x200
_SECTION_ALIGNMENT: Final = 0x1000
_R_X86_64_RELATIVE: Final = 8
_REL_BASED_DIR64: Final = 10

_CODE, _DATA, _BSS, _DISCARDABLE = 0x20, 0x40, 0x80, 0x02000000
_EXECUTE, _READ, _WRITE = 0x20000000, 0x40000000, 0x80000000
# The sections that stub.lds names, and what a strict firmware may do with their pages.
_SECTIONS: Final = {
    ".text": _CODE | _EXECUTE | _READ,
    ".rodata": _DATA | _READ,
    ".data": _DATA | _READ | _WRITE,
    ".sbat": _DATA | _READ,
}
_DLL_CHARACTERISTICS: Final = 0x0160  # NX_COMPAT | DYNAMIC_BASE | HIGH_ENTROPY_VA
EFI_APPLICATION: Final = 10
EFI_BOOT_SERVICE_DRIVER: Final = 11


def _align(value: int, alignment: int) -> int:
    return -(-value // alignment) * alignment


def _relocation_blocks(addresses: list[int]) -> bytes:
    """Base relocation blocks, one a page (PE/COFF 5.6)."""
    blocks = b""
    for page in sorted({address & ~0xFFF for address in addresses}):
        entries = [_REL_BASED_DIR64 << 12 | a & 0xFFF for a in addresses if a & ~0xFFF == page]
        if len(entries) % 2:
            entries.append(0)
        blocks += struct.pack("<II", page, 8 + 2 * len(entries))
        blocks += struct.pack(f"<{len(entries)}H", *entries)
    return blocks


def elf2pe(source: Path, destination: Path, subsystem: int = EFI_APPLICATION) -> None:
    """Write the PE made of the ELF source to destination; ValueError for foreign relocations."""
    with source.open("rb") as stream:
        elf = ELFFile(stream)
        contents: dict[str, tuple[int, bytearray, int]] = {}
        bss = range(0)
        for section in elf.iter_sections():
            if section.name in _SECTIONS:
                data = bytearray(section.data())
                contents[section.name] = (section["sh_addr"], data, len(data))
            elif section.name == ".bss":
                bss = range(section["sh_addr"], section["sh_addr"] + section["sh_size"])
        relocated = []
        for section in elf.iter_sections():
            if not isinstance(section, RelocationSection):
                continue
            for relocation in section.iter_relocations():
                if relocation["r_info_type"] != _R_X86_64_RELATIVE:
                    raise ValueError(f"{source}: relocation type {relocation['r_info_type']}")
                relocated.append((relocation["r_offset"], relocation["r_addend"]))
        entry = elf.header["e_entry"]

    for offset, addend in relocated:
        address, data, _ = next(c for c in contents.values() if c[0] <= offset < c[0] + len(c[1]))
        struct.pack_into("<Q", data, offset - address, addend)
    if bss:
        address, data, _ = contents.get(".data", (bss.start, bytearray(), 0))
        contents[".data"] = (address, data, bss.stop - address)
    end = _align(max(address + size for address, _, size in contents.values()), _SECTION_ALIGNMENT)
    # A block without entries says "nothing to relocate"; no block at all says "cannot be moved".
    blocks = bytearray(
        _relocation_blocks(sorted(offset for offset, _ in relocated))
        or struct.pack("<IIHH", 0, 12, 0, 0)
    )
    contents[".reloc"] = (end, blocks, len(blocks))

    headers = b""
    body = b""
    for name, (address, data, size) in sorted(contents.items(), key=lambda item: item[1][0]):
        flags = _SECTIONS.get(name, _DATA | _READ | _DISCARDABLE)
        raw = _align(len(data), _FILE_ALIGNMENT)
        if not raw:  # Strict loaders, shim's for one, look for initialized data in the file.
            flags = flags & ~_DATA | _BSS
        position = _HEADERS_SIZE + len(body)
        headers += struct.pack(
            "<8sIIIIIIHHI",
            name.encode(),
            size,
            address,
            raw,
            position if raw else 0,
            0,
            0,
            0,
            0,
            flags,
        )
        body += bytes(data).ljust(raw, b"\0")
    text_size = _align(contents[".text"][2], _FILE_ALIGNMENT)
    image_size = _align(end + len(blocks), _SECTION_ALIGNMENT)
    coff = struct.pack("<HHIIIHH", 0x8664, len(contents), 0, 0, 0, 240, 0x022E)
    optional = struct.pack(
        "<HBBIIIII", 0x20B, 0, 0, text_size, len(body) - text_size, 0, entry, contents[".text"][0]
    )
    optional += struct.pack(
        "<QIIHHHHHHI", 0, _SECTION_ALIGNMENT, _FILE_ALIGNMENT, 0, 0, 0, 0, 1, 0, 0
    )
    optional += struct.pack(
        "<IIIHHQQQQII", image_size, _HEADERS_SIZE, 0, subsystem, _DLL_CHARACTERISTICS,
        0x100000, 0x1000, 0x100000, 0x1000, 0, 16,
    )  # fmt: skip
    directories = [(0, 0)] * 16
    directories[5] = (end, len(blocks))
    optional += b"".join(struct.pack("<II", *directory) for directory in directories)
    dos = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x40)
    image = dos + b"PE\0\0" + coff + optional + headers
    destination.write_bytes(image.ljust(_HEADERS_SIZE, b"\0") + body)
