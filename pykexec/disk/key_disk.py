# SPDX-License-Identifier: Apache-2.0
"""A disk for keys: a GPT with one FAT partition, in memory that is wiped afterwards."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from pykexec.disk import fat, gpt
from pykexec.disk.fat_tree import SECTOR_SIZE
from pykexec.efi.guid import Guid
from pykexec.secret import Secret

_ALIGNMENT = 64  # blocks
_BLOCK_SIZE = SECTOR_SIZE


@dataclass(frozen=True, slots=True)
class Form:
    """What the volume is called, and what its partition says that it is for."""

    label: str
    partition_type: Guid


PLAIN = Form("PYKEXEC", gpt.BASIC_DATA_TYPE)
"""For everybody but Windows."""
BITLOCKER = Form("BEK VOLUME", gpt.ESP_TYPE)
"""As disks are from which Windows is known to take startup keys: Azure's are called so, and a tool
for USB sticks has the partition an ESP without attributes. Neither says that it has to be so.
"""


def make_key_disk(files: Mapping[str, memoryview], form: Form = PLAIN, which: str = "") -> Secret:
    """The disk as one secret; FormatError for names or sizes that FAT cannot have.

    GUIDs and serial number are made of the names alone: of the contents nothing must be told.
    which tells disks of the same files apart.
    """
    volume = fat.plan(files, form.label)
    nr_blocks = volume.size // _BLOCK_SIZE
    first = -(-gpt.FIRST_USABLE_LBA // _ALIGNMENT) * _ALIGNMENT
    size = (first + nr_blocks + gpt.OVERHEAD_BLOCKS - gpt.FIRST_USABLE_LBA) * _BLOCK_SIZE
    # No file is called so.
    names = "\n".join((form.label, *sorted(files), *([f"/{which}"] if which else [])))
    partition = gpt.Partition(
        1, form.partition_type, _guid("partition", names), first, nr_blocks, 0, form.label
    )
    disk = Secret(size)
    try:
        gpt.write_gpt(disk.view, gpt.Table(_guid("disk", names), (partition,), False))
        start = first * _BLOCK_SIZE
        volume.write(disk.view[start : start + volume.size], first, which)
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
