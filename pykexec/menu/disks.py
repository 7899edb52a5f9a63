# SPDX-License-Identifier: Apache-2.0
"""What the disks' ESPs and XBOOTLDR partitions offer to boot loaders (UAPI.1): entries of type 1
in \\loader\\entries, unified kernel images (type 2) in \\EFI\\Linux.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from pykexec.config.menu import Entry
from pykexec.config.payload import PayloadConfig
from pykexec.disk import Reader, gpt
from pykexec.disk.fat_reader import FatVolume
from pykexec.efi.guid import Guid
from pykexec.errors import FormatError
from pykexec.log import reason
from pykexec.menu import bls
from pykexec.windows.disks import Disk

XBOOTLDR_TYPE = Guid.parse("bc13c2ff-59e6-4262-a352-b275fd6f7172")
ENTRIES_MAX = 200
"""Of one volume; a disk may hold anything."""
_TYPE_1, _TYPE_2 = "\\loader\\entries", "\\EFI\\Linux"
Say = Callable[[str], object]


def disk_entries(disks: Iterable[Disk], say: Say) -> list[Entry]:
    """What is on all of them; say is told of what cannot be read, in a line."""
    entries: list[Entry] = []
    for disk in disks:
        try:
            partitions = _partitions(disk)
        except (FormatError, OSError) as error:
            say(f"{disk.name}: {reason(error, disk.name)}")
            continue
        for guid, read in partitions:
            what = f"{disk.name} partition {guid}"
            try:
                entries += volume_entries(FatVolume(read, what), guid, say)
            except (FormatError, OSError) as error:
                say(f"{what}: {reason(error, what)}")
    return entries


def _partitions(disk: Disk) -> list[tuple[Guid, Reader]]:
    block_size = disk.block_size or 512
    table = gpt.read_gpt(disk.read, block_size, disk.size // block_size)
    return [
        (each.guid, _part(disk, each.first_lba * block_size, each.nr_blocks * block_size))
        for each in (table.partitions if table else ())
        if each.type in (gpt.ESP_TYPE, XBOOTLDR_TYPE)
    ]


def _part(disk: Disk, start: int, total: int) -> Reader:
    def read(offset: int, size: int) -> bytes:
        if not 0 <= offset < total:
            return b""
        return disk.read(start + offset, min(size, total - offset))

    return read


def volume_entries(volume: FatVolume, guid: Guid, say: Say) -> Iterator[Entry]:
    """What is on one of them, in the specification's order, type 1 first."""
    found = []
    for name in _names(volume, _TYPE_1, ".conf"):
        try:
            data = volume.read_file(f"{_TYPE_1}\\{name}", bls.SIZE_MAX)
            entry = bls.parse_bls_entry(data or b"", name)
        except FormatError as error:
            say(str(error))
            continue
        if entry:
            found.append(entry)
    for entry in sorted(found, key=lambda each: each.order):
        yield _entry(entry.title, entry.path, entry.options, guid)
    for name in sorted(_names(volume, _TYPE_2, ".efi"), reverse=True):
        yield _entry(name[: -len(".efi")], f"{_TYPE_2}\\{name}", "", guid)


def _names(volume: FatVolume, directory: str, suffix: str) -> list[str]:
    found = volume.find(directory)
    if found is None or not found.is_directory:
        return []
    files = (each for each in volume.entries(found) if not each.is_directory)
    names = [each.name for each in files if each.name.lower().endswith(suffix)]
    return [name for name in names if name.isprintable()][:ENTRIES_MAX]


def _entry(title: str, path: str, options: str, guid: Guid) -> Entry:
    return Entry(title, "efi", PayloadConfig(path, str(guid), options), is_found=True)
