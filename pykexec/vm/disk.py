# SPDX-License-Identifier: Apache-2.0
"""Disk images with a GPT, made without root: a FAT32 EFI system partition, ext4, what there is."""

from __future__ import annotations

import mmap
import os
import shutil
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pykexec.disk import gpt
from pykexec.efi.guid import Guid
from pykexec.errors import UsageError
from pykexec.run import run

MIB = 1 << 20
SECTOR = 512
_LINUX_TYPE = Guid.parse("0fc63daf-8483-4772-8e79-3d69d8477de4")
_TIMEOUT_S = 120.0
# Users other than root may not have the directories of these tools in their PATH.
_ENV = {"PATH": f"{os.environ.get('PATH', '/usr/bin')}:/usr/sbin:/sbin"}

DISK_GUID = uuid.UUID("00000000-0000-4000-8000-000000000001")
_ESP_GUID = uuid.UUID("11111111-1111-4111-8111-111111111111")
_EXT4_GUID = uuid.UUID("22222222-2222-4222-8222-222222222222")
_RAW_GUID = uuid.UUID("33333333-3333-4333-8333-333333333333")

# Files by their path on the volume ("EFI/BOOT/BOOTX64.EFI"): contents, or where to copy them from.
Files = Mapping[str, bytes | Path]


@dataclass(frozen=True, slots=True)
class Esp:
    """A FAT32 EFI system partition; size 0 fits it to its files."""

    files: Files
    size_mib: int = 0
    label: str = "ESP"
    guid: uuid.UUID = _ESP_GUID


@dataclass(frozen=True, slots=True)
class Ext4:
    """An ext4 partition."""

    files: Files = field(default_factory=dict)
    size_mib: int = 32
    label: str = "data"
    guid: uuid.UUID = _EXT4_GUID


@dataclass(frozen=True, slots=True)
class Raw:
    """A partition for data (Windows' own, for one) that is what is in a file, holes included."""

    content: Path
    label: str = "Basic data partition"
    guid: uuid.UUID = _RAW_GUID


@dataclass(frozen=True, slots=True)
class PartitionLayout:
    """Where a partition came to be; start and size in sectors, as device paths have them."""

    number: int
    start: int
    size: int
    guid: uuid.UUID


@dataclass(frozen=True, slots=True)
class DiskLayout:
    """An image that was made."""

    path: Path
    partitions: tuple[PartitionLayout, ...]


Partition = Esp | Ext4 | Raw


def make_disk(
    path: Path, partitions: Sequence[Partition], *, guid: uuid.UUID = DISK_GUID
) -> DiskLayout:
    """Write a disk image with partitions to path; same input, same GUIDs and layout."""
    layouts: list[PartitionLayout] = []
    start = MIB // SECTOR
    for number, part in enumerate(partitions, 1):
        size = _size_mib(part) * MIB // SECTOR
        layouts.append(PartitionLayout(number, start, size, part.guid))
        start += size
    rows = (_partition(*each) for each in zip(layouts, partitions, strict=True))
    table = gpt.Table(Guid(guid.bytes_le), tuple(rows), from_backup=False)
    with open(path, "wb+") as image:
        image.truncate(start * SECTOR + MIB)
        # By ourselves: disk tools have every disk of the host synced, and then sleep.
        with mmap.mmap(image.fileno(), 0) as whole, memoryview(whole) as view:
            gpt.write_gpt(view, table)
    for layout, part in zip(layouts, partitions, strict=True):
        _fill(path, layout, part)
    return DiskLayout(path, tuple(layouts))


def add_files(disk: DiskLayout, files: Files, number: int = 1) -> None:
    """Put more files on the FAT partition number of disk, replacing those of the same name."""
    layout = disk.partitions[number - 1]
    with tempfile.TemporaryDirectory(prefix="pykexec-disk-") as directory:
        _stage(Path(directory), files)
        top = sorted(Path(directory).iterdir())
        if top:
            target = ["-i", f"{disk.path}@@{layout.start * SECTOR}"]
            run(["mcopy", *target, "-s", "-o", "-Q", *top, "::/"], env=_ENV, timeout_s=_TIMEOUT_S)


def read_file(disk: DiskLayout, name: str, number: int = 1) -> bytes:
    """The contents of a file on the FAT partition number of disk."""
    offset = disk.partitions[number - 1].start * SECTOR
    return run(
        ["mtype", "-i", f"{disk.path}@@{offset}", f"::/{name}"], env=_ENV, timeout_s=_TIMEOUT_S
    )


def _partition(layout: PartitionLayout, part: Partition) -> gpt.Partition:
    type_ = {Esp: gpt.ESP_TYPE, Ext4: _LINUX_TYPE, Raw: gpt.BASIC_DATA_TYPE}[type(part)]
    guid = Guid(part.guid.bytes_le)
    return gpt.Partition(layout.number, type_, guid, layout.start, layout.size, 0, part.label)


def _size_mib(part: Partition) -> int:
    if isinstance(part, Raw):
        return -(-part.content.stat().st_size // MIB)
    if part.size_mib:
        return part.size_mib
    sizes = [len(c) if isinstance(c, bytes) else c.stat().st_size for c in part.files.values()]
    # FAT32 needs 65525 clusters; a tenth is for tables, directories and slack.
    return max(40, sum(sizes) * 11 // 10 // MIB + 8)


def _stage(directory: Path, files: Files) -> None:
    for name, content in files.items():
        if name.startswith("/") or ".." in name.split("/"):
            raise UsageError(f"{name}: not a path inside the volume")
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            target.write_bytes(content)
        else:
            shutil.copyfile(content, target)


def _fill(path: Path, layout: PartitionLayout, part: Partition) -> None:
    if isinstance(part, Esp):
        _format_fat(path, layout, part)
    elif isinstance(part, Ext4):
        _format_ext4(path, layout, part)
    else:
        place = [f"of={path}", "bs=1M", f"seek={layout.start * SECTOR // MIB}"]
        words = [f"if={part.content}", *place, "conv=notrunc,sparse", "status=none"]
        run(["dd", *words], timeout_s=_TIMEOUT_S)


def _format_fat(path: Path, layout: PartitionLayout, part: Esp) -> None:
    offset, blocks = layout.start, layout.size * SECTOR // 1024
    words = ["mkfs.fat", "-F", "32", "-s", "1", "--invariant", "-n", part.label]
    run([*words, f"--offset={offset}", path, str(blocks)], env=_ENV, timeout_s=_TIMEOUT_S)
    add_files(DiskLayout(path, (*[layout] * layout.number,)), part.files, layout.number)


def _format_ext4(path: Path, layout: PartitionLayout, part: Ext4) -> None:
    write_ext4(path, part.files, part.label, part.guid, layout.start * SECTOR, layout.size * SECTOR)


def write_ext4(
    path: Path, files: Files, label: str, guid: uuid.UUID, offset: int, size: int
) -> None:
    """Make an ext4 file system with files in size bytes of the image path, from offset on."""
    with tempfile.TemporaryDirectory(prefix="pykexec-disk-") as directory:
        _stage(Path(directory), files)
        words = ["mke2fs", "-q", "-F", "-t", "ext4", "-d", directory, "-L", label]
        words += ["-U", str(guid), "-E", f"offset={offset}"]
        run([*words, path, f"{size // 1024}k"], env=_ENV, timeout_s=_TIMEOUT_S)
