# SPDX-License-Identifier: Apache-2.0
"""Disks and images to look at, read-only, and the volumes on them."""

from __future__ import annotations

import fcntl
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pykexec.disk import Reader, SecretReader, gpt, mbr, reader, secret_reader
from pykexec.disk.fat_reader import FatVolume
from pykexec.efi.guid import Guid
from pykexec.errors import FormatError, UsageError
from pykexec.firmware.devices import (
    CHUNK_SIZE,
    BlockInfo,
    read_block_info,
    read_blocks,
    read_blocks_into,
)
from pykexec.firmware.handles import list_handles
from pykexec.firmware.mailbox import Mailbox
from pykexec.secret import Secret
from pykexec.windows.bitlocker import is_bitlocker

_BLKSSZGET = 0x1268  # linux/fs.h
_BLOCK_SIZES = (512, 4096)
_FILE_SYSTEMS = (b"NTFS    ", b"EXFAT   ")


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk by its bytes; read_secret is for those that are keys. block_size None is to be found
    out: an image does not say it.
    """

    name: str
    read: Reader
    read_secret: SecretReader
    size: int
    block_size: int | None


@dataclass(frozen=True, slots=True)
class Place:
    """A volume: what it is called in findings, which partition it is if it is one, its bytes."""

    name: str
    partition: Guid | mbr.Identity | None
    read: Reader
    read_secret: SecretReader


@dataclass(frozen=True, slots=True)
class Layout:
    """The volumes of a disk; old is its table where that is an MBR's."""

    places: tuple[Place, ...]
    old: mbr.Table | None = None


@contextmanager
def open_disk(path: str) -> Iterator[Disk]:
    """A block device or an image of Linux', for as long as the with statement lasts."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        mode, block_size = os.fstat(fd).st_mode, None
        if stat.S_ISBLK(mode):
            found = fcntl.ioctl(fd, _BLKSSZGET, bytes(4))
            block_size = struct.unpack("<i", found)[0]
        elif not stat.S_ISREG(mode):
            raise UsageError(f"{path}: neither a disk nor an image of one")
        size = os.lseek(fd, 0, os.SEEK_END)
        yield Disk(path, reader(fd), secret_reader(fd), size, block_size)
    finally:
        os.close(fd)


def firmware_disks(mailbox: Mailbox) -> tuple[Disk, ...]:
    """Every disk of the firmware that has a medium."""
    found = []
    for handle in list_handles(mailbox, "block_io"):
        if handle.is_partition:
            continue
        info = read_block_info(mailbox, handle.number)
        if info.present and not info.logical_partition:
            blocks = _Blocks(mailbox, handle.number, info)
            disk = Disk(
                f"disk {handle}", blocks.read, blocks.read_secret, info.size, info.block_size
            )
            found.append(disk)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Blocks:
    """Bytes out of whole blocks of the firmware's."""

    mailbox: Mailbox
    handle: int
    info: BlockInfo

    def read(self, offset: int, size: int) -> bytes:
        pieces = [
            read_blocks(self.mailbox, self.handle, self.info.media_id, lba, count)
            for lba, count in self._chunks(offset, size)
        ]
        start = offset % self.info.block_size
        return b"".join(pieces)[start : start + size]

    def read_secret(self, offset: int, out: memoryview) -> int:
        chunks = list(self._chunks(offset, len(out)))
        with Secret(sum(count for _, count in chunks)) as whole:
            at = 0
            for lba, count in chunks:
                place = whole.view[at : at + count]
                read_blocks_into(self.mailbox, self.handle, self.info.media_id, lba, place)
                at += count
            start = offset % self.info.block_size
            out[:] = whole.view[start : start + len(out)]
        return len(out)

    def _chunks(self, offset: int, size: int) -> Iterator[tuple[int, int]]:
        """First block, and bytes, of what a message carries."""
        block = self.info.block_size
        end = -(-(offset + size) // block)
        for lba in range(offset // block, end, CHUNK_SIZE // block):
            yield lba, min(end - lba, CHUNK_SIZE // block) * block


def layout(disk: Disk) -> Layout:
    """Its partitions, or the whole of a disk without table; FormatError for a table that is none.

    An MBR does not tell the size of its blocks: of an image that does not either they have 512
    bytes.
    """
    whole = _part(disk, disk.name, None, 0, disk.size)
    faults = []
    for block_size in (disk.block_size,) if disk.block_size else _BLOCK_SIZES:
        try:
            table = gpt.read_gpt(whole.read, block_size, disk.size // block_size)
        except FormatError as error:
            faults.append(str(error))
            continue
        if table is None:
            return _old_layout(whole, disk, block_size)
        found = [_partition(disk, block_size, each, each.guid) for each in table.partitions]
        return Layout(tuple(found))
    raise FormatError(f"{disk.name}: {faults[0]}")


def _old_layout(whole: Place, disk: Disk, block_size: int) -> Layout:
    """By an MBR, or all of it one volume."""
    if _is_volume(whole.read):
        return Layout((whole,))
    try:
        table = mbr.read_mbr(whole.read, block_size, disk.size // block_size)
    except FormatError as error:
        raise FormatError(f"{disk.name}: {error}") from None
    if table is None:
        return Layout((whole,))
    found = []
    for each in table.partitions:
        which = mbr.Identity(table.signature, each.first_lba * block_size)
        found.append(_partition(disk, block_size, each, which))
    return Layout(tuple(found), table)


def _is_volume(read: Reader) -> bool:
    """Does the first block belong to a file system, though it ends like an MBR?"""
    if is_bitlocker(read) or read(3, 8) in _FILE_SYSTEMS:
        return True
    try:
        FatVolume(read, "")
    except FormatError:
        return False
    return True


def _partition(
    disk: Disk, block_size: int, found: gpt.Partition | mbr.Partition, which: Guid | mbr.Identity
) -> Place:
    start, size = found.first_lba * block_size, found.nr_blocks * block_size
    return _part(disk, f"{disk.name} partition {found.number}", which, start, size)


def _part(
    disk: Disk, name: str, which: Guid | mbr.Identity | None, start: int, total: int
) -> Place:
    """Of a disk; what reaches beyond its end is cut off."""

    def read(offset: int, size: int) -> bytes:
        if not 0 <= offset < total:
            return b""
        return disk.read(start + offset, min(size, total - offset))

    def read_secret(offset: int, out: memoryview) -> int:
        if not 0 <= offset < total:
            return 0
        return disk.read_secret(start + offset, out[: total - offset])

    return Place(name, which, read, read_secret)
