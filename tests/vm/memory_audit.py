# SPDX-License-Identifier: Apache-2.0
"""Guest RAM compared page by page from outside, every change explained by a named reason."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pykexec.abi import MemoryType
from pykexec.memory import Range
from pykexec.vm.vm import Vm

PAGE = 4096
_BLOCK = 1 << 20
_PE_SIGNATURE_OFFSET = 0x3C
_SECTION_WRITABLE = 0x80000000
_ACCESSED_AND_DIRTY = 0x60
_ADDRESS = 0x000F_FFFF_FFFF_F000
_FINAL_EVENTS_MAX = 1000

# Memory that the firmware's own code writes to whenever it runs.
_FIRMWARE_DATA = frozenset(
    {MemoryType.BOOT_SERVICES_DATA, MemoryType.RUNTIME_SERVICES_DATA, MemoryType.LOADER_DATA}
)
_IMAGES = frozenset(
    {MemoryType.BOOT_SERVICES_CODE, MemoryType.RUNTIME_SERVICES_CODE, MemoryType.LOADER_CODE}
)


@dataclass(frozen=True, slots=True)
class Owner:
    """Who owns a range of RAM: a type of the firmware's memory map, or us by name."""

    range: Range
    type: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class Audit:
    """Changed pages: how many each reason explains, and those that nothing explains."""

    explained: Counter[str] = field(default_factory=Counter)
    unexplained: list[str] = field(default_factory=list)


def changed_pages(before: bytes, after: bytes) -> Iterator[int]:
    """Addresses of the pages that differ."""
    old, new = memoryview(before), memoryview(after)
    for block in range(0, len(before), _BLOCK):
        if old[block : block + _BLOCK] == new[block : block + _BLOCK]:
            continue
        for page in range(block, min(block + _BLOCK, len(before)), PAGE):
            if old[page : page + PAGE] != new[page : page + PAGE]:
                yield page


def audit(before: bytes, after: bytes, owners: Sequence[Owner], root: int) -> Audit:
    """Explain every page that differs. root: the firmware's CR3; the first owner counts."""
    result = Audit()
    tables = page_table_pages(before, root)
    for page in changed_pages(before, after):
        owner = next((o for o in owners if o.range.start <= page < o.range.end), None)
        if page in tables:
            reason = _page_table_reason(before, after, page)
        else:
            reason = _reason(before, after, page, owner)
        if reason:
            result.explained[reason] += 1
        else:
            what = "page table" if page in tables else _describe(owner)
            result.unexplained.append(f"{page:#x}: {what}")
    return result


def _describe(owner: Owner | None) -> str:
    return "in no descriptor" if owner is None else owner.name or MemoryType(owner.type).name


def _page_table_reason(before: bytes, after: bytes, page: int) -> str | None:
    """The processor sets accessed and dirty bits; whatever else changes has no reason."""
    old, new = (struct.unpack_from("<512Q", memory, page) for memory in (before, after))
    if all((a ^ b) & ~_ACCESSED_AND_DIRTY == 0 for a, b in zip(old, new, strict=True)):
        return "accessed and dirty bits of page tables"
    return None


def _is_final_events(before: bytes, after: bytes, page: int) -> bool:
    """Has an event been appended to an EFI_TCG2_FINAL_EVENTS_TABLE (TCG EFI Protocol, 7)?"""
    version, nr_before = struct.unpack_from("<QQ", before, page)
    _, nr_after = struct.unpack_from("<QQ", after, page)
    return bool(version == 1 and nr_before < nr_after < _FINAL_EVENTS_MAX)


def _reason(before: bytes, after: bytes, page: int, owner: Owner | None) -> str | None:
    if owner is None:
        return None
    if owner.name:
        return owner.name
    if owner.type in _FIRMWARE_DATA:
        return "the firmware's heap, stacks and variables"
    if owner.type == MemoryType.CONVENTIONAL_MEMORY:
        return "free memory that the firmware gave out and got back"
    if owner.type == MemoryType.ACPI_MEMORY_NVS and _is_final_events(before, after, page):
        return "the TPM's final events"
    if owner.type in _IMAGES and _in_writable_section(before, page, owner.range):
        return "data section of a firmware driver"
    return None


def _in_writable_section(memory: bytes, page: int, area: Range) -> bool:
    """Is page in a writable section of the PE image that is loaded around it?

    Drivers lie in code memory as a whole, headers first and on a page boundary.
    """
    for base in range(page, area.start - PAGE, -PAGE):
        if memory[base : base + 2] != b"MZ":
            continue
        offset = base + struct.unpack_from("<I", memory, base + _PE_SIGNATURE_OFFSET)[0]
        if memory[offset : offset + 4] != b"PE\0\0":
            continue
        nr_sections, optional_size = struct.unpack_from("<H12xH", memory, offset + 6)
        table = offset + 24 + optional_size
        for number in range(nr_sections):
            size, address, flags = struct.unpack_from("<8xII20xI", memory, table + 40 * number)
            start = base + address
            if start < page + PAGE and page < start + size and flags & _SECTION_WRITABLE:
                return True
        return False
    return False


def page_table_pages(memory: bytes, root: int) -> set[int]:
    """Every page of the four-level page tables at root (SDM 3A, 4.5)."""
    pages: set[int] = set()

    def walk(table: int, level: int) -> None:
        if table in pages or table + PAGE > len(memory):
            return
        pages.add(table)
        if level == 1:
            return
        for entry in struct.unpack_from("<512Q", memory, table):
            if entry & 1 and not entry & 0x80:
                walk(entry & _ADDRESS, level - 1)

    walk(root & ~0xFFF, 4)
    return pages


def is_executable(vm: Vm, root: int, address: int) -> bool:
    """Do the four levels of page tables at root, in a machine that stands still, let it be code?"""
    for shift in (39, 30, 21, 12):
        where = (root & _ADDRESS) + 8 * (address >> shift & 511)
        (root,) = struct.unpack("<Q", vm.read_memory(where, 8))
        if not root & 1 or root >> 63:
            return False
        if root & 0x80:
            break
    return True
