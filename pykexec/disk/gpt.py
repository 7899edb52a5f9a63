# SPDX-License-Identifier: Apache-2.0
"""GUID partition tables (UEFI 2.10, 5.3): read as carefully as the kernel does, and written."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from pykexec._native import lib
from pykexec.disk import Reader, mbr
from pykexec.efi.guid import Guid
from pykexec.errors import FormatError

_HEADER = struct.Struct("<8sIIIIQQQQ16sQIII")
_SIGNATURE = b"EFI PART"
_ENTRY = struct.Struct("<16s16sQQQ72s")
_TABLE_MAX = 1 << 20
"""Bytes of entries: 128 of 128 bytes are usual."""
_BLOCK_SIZE = 512
_NR_ENTRIES = 128
_TABLE_BLOCKS = _NR_ENTRIES * _ENTRY.size // _BLOCK_SIZE
_REVISION = 1 << 16

ESP_TYPE = Guid.parse("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
"""EFI system partition (5.3.3)."""
BASIC_DATA_TYPE = Guid.parse("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7")
"""What Windows and Linux look for files on, and no firmware looks for boot loaders."""
OVERHEAD_BLOCKS = 2 + _TABLE_BLOCKS + _TABLE_BLOCKS + 1
"""Of 512 bytes, beside the partitions: MBR, header and entries, entries and header at the end."""
FIRST_USABLE_LBA = 2 + _TABLE_BLOCKS


@dataclass(frozen=True, slots=True)
class Partition:
    """One entry; blocks are those of the disk, numbers count from 1."""

    number: int
    type: Guid
    guid: Guid
    first_lba: int
    nr_blocks: int
    attributes: int
    name: str


@dataclass(frozen=True, slots=True)
class Table:
    """A valid table, of the disk's beginning or, with from_backup, of its end."""

    guid: Guid
    partitions: tuple[Partition, ...]
    from_backup: bool


def read_gpt(read: Reader, block_size: int, nr_blocks: int) -> Table | None:
    """The disk's GPT; None when its MBR announces none.

    FormatError, which names both faults, when neither header leads to a valid table.
    """
    if not mbr.announces_gpt(read(0, mbr.LAYOUT.size)):
        return None
    faults = []
    for lba in (1, nr_blocks - 1):
        try:
            return _read_table(read, block_size, nr_blocks, lba)
        except FormatError as error:
            faults.append(str(error))
    raise FormatError("; ".join(faults))


def _read_table(read: Reader, block_size: int, nr_blocks: int, lba: int) -> Table:
    what = f"GPT header at LBA {lba}"
    header = read(lba * block_size, block_size)
    if len(header) < _HEADER.size:
        raise FormatError(f"{what}: cut off")
    (signature, revision, size, checksum, _, own_lba, _, first, last, guid, entries_lba, nr_entries,
     entry_size, entries_checksum) = _HEADER.unpack_from(header)  # fmt: skip
    if signature != _SIGNATURE:
        raise FormatError(f"{what}: signature {signature.hex()}")
    if revision >> 16 != 1 or not _HEADER.size <= size <= len(header):
        raise FormatError(f"{what}: revision {revision:#x}, {size} bytes")
    if _crc32(header[:16] + bytes(4) + header[20:size]) != checksum:
        raise FormatError(f"{what}: wrong checksum")
    if own_lba != lba:
        raise FormatError(f"{what}: made for LBA {own_lba}")
    if not first <= last < nr_blocks:
        raise FormatError(f"{what}: usable blocks {first} to {last} of {nr_blocks}")
    if entry_size < _ENTRY.size or entry_size % 8 or nr_entries * entry_size > _TABLE_MAX:
        raise FormatError(f"{what}: {nr_entries} entries of {entry_size} bytes")
    table = read(entries_lba * block_size, nr_entries * entry_size)
    if len(table) < nr_entries * entry_size:
        raise FormatError(f"{what}: entries at LBA {entries_lba} are cut off")
    if _crc32(table) != entries_checksum:
        raise FormatError(f"{what}: wrong checksum of entries")
    partitions = []
    for index in range(nr_entries):
        partition = _decode_entry(index + 1, table, index * entry_size)
        if partition and first <= partition.first_lba <= last - partition.nr_blocks + 1:
            partitions.append(partition)
    return Table(Guid(guid), tuple(partitions), from_backup=lba != 1)


def _decode_entry(number: int, table: bytes, offset: int) -> Partition | None:
    """None for an entry that is not in use, or that ends before it starts."""
    type_, guid, first, last, attributes, name = _ENTRY.unpack_from(table, offset)
    if not any(type_) or last < first:
        return None
    text = name.decode("utf-16-le", "replace").partition("\0")[0]
    return Partition(number, Guid(type_), Guid(guid), first, last - first + 1, attributes, text)


def write_gpt(out: memoryview, table: Table) -> None:
    """Make out, a whole disk of 512-byte blocks, have table and its backup; nothing else changes.

    FormatError when a partition does not fit.
    """
    nr_blocks = len(out) // _BLOCK_SIZE
    last_usable = nr_blocks - _TABLE_BLOCKS - 2
    entries = bytearray(_NR_ENTRIES * _ENTRY.size)
    for partition in table.partitions:
        last = partition.first_lba + partition.nr_blocks - 1
        if not FIRST_USABLE_LBA <= partition.first_lba <= last <= last_usable:
            blocks = f"blocks {partition.first_lba} to {last}"
            raise FormatError(f"partition {partition.number}: {blocks} of {nr_blocks} do not fit")
        _ENTRY.pack_into(
            entries,
            (partition.number - 1) * _ENTRY.size,
            partition.type.data,
            partition.guid.data,
            partition.first_lba,
            last,
            partition.attributes,
            partition.name.encode("utf-16-le"),
        )
    record = struct.pack(
        "<4sB3sII", b"\0\0\2\0", mbr.PROTECTIVE, b"\xff" * 3, 1, min(nr_blocks - 1, 0xFFFFFFFF)
    )
    mbr.LAYOUT.pack_into(out, 0, b"", 0, 0, record, mbr.SIGNATURE)
    for lba, other, entries_lba in (
        (1, nr_blocks - 1, 2),
        (nr_blocks - 1, 1, last_usable + 1),
    ):
        header = bytearray(
            _HEADER.pack(
                _SIGNATURE,
                _REVISION,
                _HEADER.size,
                0,
                0,
                lba,
                other,
                FIRST_USABLE_LBA,
                last_usable,
                table.guid.data,
                entries_lba,
                _NR_ENTRIES,
                _ENTRY.size,
                _crc32(bytes(entries)),
            )
        )
        struct.pack_into("<I", header, 16, _crc32(bytes(header)))
        out[lba * _BLOCK_SIZE : lba * _BLOCK_SIZE + len(header)] = header
        out[entries_lba * _BLOCK_SIZE :][: len(entries)] = entries


def _crc32(data: bytes) -> int:
    return lib.pk_crc32(0, data, len(data))
