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

from pykexec.disk import Reader, reader
from pykexec.disk.gpt import read_gpt
from pykexec.efi.guid import Guid
from pykexec.errors import FormatError, UsageError
from pykexec.firmware.devices import CHUNK_SIZE, read_block_info, read_blocks
from pykexec.firmware.handles import list_handles
from pykexec.firmware.mailbox import Mailbox

_BLKSSZGET = 0x1268  # linux/fs.h
_BLOCK_SIZES = (512, 4096)


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk by its bytes; block_size None is to be found out: an image does not say it."""

    name: str
    read: Reader
    size: int
    block_size: int | None


@dataclass(frozen=True, slots=True)
class Place:
    """A volume: what it is called in findings, its partition's GUID if it has one, its bytes."""

    name: str
    partition: Guid | None
    read: Reader


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
        yield Disk(path, reader(fd), size, block_size)
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
            read = _firmware_reader(mailbox, handle.number, info.media_id, info.block_size)
            found.append(Disk(f"disk {handle}", read, info.size, info.block_size))
    return tuple(found)


def _firmware_reader(mailbox: Mailbox, number: int, media: int, block: int) -> Reader:
    """Bytes out of whole blocks."""

    def read(offset: int, size: int) -> bytes:
        first, end = offset // block, -(-(offset + size) // block)
        pieces = []
        for lba in range(first, end, CHUNK_SIZE // block):
            count = min(end - lba, CHUNK_SIZE // block)
            pieces.append(read_blocks(mailbox, number, media, lba, count * block))
        start = offset - first * block
        return b"".join(pieces)[start : start + size]

    return read


def places(disk: Disk) -> tuple[Place, ...]:
    """Its partitions, or the whole of a disk without GPT; FormatError for a GPT that is none."""
    faults = []
    for block_size in (disk.block_size,) if disk.block_size else _BLOCK_SIZES:
        try:
            table = read_gpt(_within(disk.read, 0, disk.size), block_size, disk.size // block_size)
        except FormatError as error:
            faults.append(str(error))
            continue
        if table is None:
            return (Place(disk.name, None, _within(disk.read, 0, disk.size)),)
        return tuple(
            Place(
                f"{disk.name} partition {each.number}",
                each.guid,
                _within(disk.read, each.first_lba * block_size, each.nr_blocks * block_size),
            )
            for each in table.partitions
        )
    raise FormatError(f"{disk.name}: {faults[0]}")


def _within(read: Reader, start: int, total: int) -> Reader:
    """Of a part of what read gives; what reaches beyond its end is cut off."""

    def inside(offset: int, size: int) -> bytes:
        if not 0 <= offset < total:
            return b""
        return read(start + offset, min(size, total - offset))

    return inside
