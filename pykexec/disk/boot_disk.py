# SPDX-License-Identifier: Apache-2.0
"""A disk to boot from, of files that need not be at hand: an MBR with one FAT32 partition.

The shape that wimboot gives its disk, and that Windows' boot manager takes from Vista on.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

from pykexec.disk import fat32
from pykexec.disk.fat32 import Layout, Place
from pykexec.disk.fat_tree import SECTOR_SIZE

PARTITION_SECTOR = 128
"""Where the partition begins; it has all of the rest."""
_FAT32_LBA, _ACTIVE = 0x0C, 0x80
_CHS_UNKNOWN = b"\xfe\xff\xff"
_MBR = struct.Struct("<440xI2xB3sB3sII48xH")


def plan(files: Mapping[str, int], label: str = "PYKEXEC") -> Layout:
    """The whole disk, for files of these sizes by path; places are bytes into the disk.

    FormatError as fat32.plan() has it.
    """
    volume = fat32.plan(files, label, PARTITION_SECTOR)
    signature = zlib.crc32("\n".join(sorted(files)).encode("utf-8", "replace")) or 1
    record = (_ACTIVE, _CHS_UNKNOWN, _FAT32_LBA, _CHS_UNKNOWN)
    mbr = _MBR.pack(signature, *record, PARTITION_SECTOR, volume.size // SECTOR_SIZE, 0xAA55)
    start = PARTITION_SECTOR * SECTOR_SIZE
    places = tuple(Place(each.path, start + each.offset, each.size) for each in volume.files)
    return Layout(start + volume.size, mbr.ljust(start, b"\0") + volume.metadata, places)
