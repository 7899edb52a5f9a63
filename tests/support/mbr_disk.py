# SPDX-License-Identifier: Apache-2.0
"""Master boot records made here, the links of logical partitions, and what a BCD calls them."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from pykexec.disk.mbr import Identity
from pykexec.windows.hive import REG_BINARY

DISK = 0x1A2B3C4D
BASIC, EXTENDED, ESP = 0x07, 0x0F, 0xEF


@dataclass(frozen=True, slots=True)
class Record:
    """One of a block's four; first is relative to what the block says."""

    type: int
    first: int
    count: int
    flag: int = 0


def put(disk: bytearray, lba: int, *records: Record) -> None:
    """Make a block one with these records; only the first one of a disk has a signature of it."""
    at = lba * 512
    packed = b"".join(struct.pack("<B3xB3xII", r.flag, r.type, r.first, r.count) for r in records)
    struct.pack_into("<IH64sH", disk, at + 440, 0 if lba else DISK, 0, packed, 0xAA55)


def device(partition: Identity) -> tuple[int, bytes]:
    """A device element of a BCD: that partition."""
    where = (partition.offset, 1, partition.signature)
    return REG_BINARY, struct.pack("<16xIII4xQ8x4xII28x", 6, 0, 0x48, *where)
