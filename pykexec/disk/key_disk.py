# SPDX-License-Identifier: Apache-2.0
"""A disk for keys: a GPT with one FAT partition, in memory that is wiped afterwards."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from pykexec.disk import fat, gpt
from pykexec.efi.guid import Guid
from pykexec.secret import Secret

_ALIGNMENT = 64  # blocks
_BLOCK_SIZE = fat.SECTOR_SIZE
PARTITION_TYPE = Guid.parse("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7")
"""Basic data: what Windows and Linux look for files on, and no firmware looks for boot loaders."""


def make_key_disk(files: Mapping[str, memoryview], label: str = "PYKEXEC") -> Secret:
    """The disk as one secret; FormatError for names or sizes that FAT cannot have.

    GUIDs are made of the names alone: of the contents nothing must be told.
    """
    volume = fat.plan(files, label)
    nr_blocks = volume.size // _BLOCK_SIZE
    first = -(-gpt.FIRST_USABLE_LBA // _ALIGNMENT) * _ALIGNMENT
    size = (first + nr_blocks + gpt.OVERHEAD_BLOCKS - gpt.FIRST_USABLE_LBA) * _BLOCK_SIZE
    names = "\n".join((label, *sorted(files)))
    partition = gpt.Partition(
        1, PARTITION_TYPE, _guid("partition", names), first, nr_blocks, 0, label
    )
    disk = Secret(size)
    try:
        gpt.write_gpt(disk.view, gpt.Table(_guid("disk", names), (partition,), False))
        start = first * _BLOCK_SIZE
        volume.write(disk.view[start : start + volume.size], first)
    except BaseException:
        disk.wipe()
        raise
    return disk


def _guid(what: str, names: str) -> Guid:
    """RFC 9562, 5.8: version 8, of a digest."""
    digest = bytearray(hashlib.sha256(f"pykexec {what}\n{names}".encode()).digest()[:16])
    digest[7] = digest[7] & 0x0F | 0x80  # in the GUID's mixed endian form
    digest[8] = digest[8] & 0x3F | 0x80
    return Guid(bytes(digest))
