# SPDX-License-Identifier: Apache-2.0
"""Partition tables of master boot records (UEFI 2.10, 5.2), read from untrusted bytes: the four
records of the first block, and the chain of logical partitions within an extended one.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from pykexec.disk import Reader
from pykexec.errors import FormatError

LAYOUT = struct.Struct("<440sIH64sH")
"""Code, the disk's signature, reserved, records, SIGNATURE."""
SIGNATURE = 0xAA55
PROTECTIVE = 0xEE
_RECORD = struct.Struct("<B3xB3xII")
_ACTIVE = 0x80
_EXTENDED = (0x05, 0x0F, 0x85)
_FIRST_LOGICAL = 5
LOGICAL_MAX = 128
"""Logical partitions that are read of a disk."""


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition with contents of its own; blocks are the disk's.

    Numbers are Linux': 1 to 4 are the first block's records, logical ones count from 5.
    """

    number: int
    type: int
    active: bool
    first_lba: int
    nr_blocks: int

    @property
    def end(self) -> int:
        """The first block behind it."""
        return self.first_lba + self.nr_blocks

    def __str__(self) -> str:
        return f"partition {self.number}, blocks [{self.first_lba}, {self.end})"


@dataclass(frozen=True, slots=True)
class Identity:
    """What Windows calls a partition of an MBR by: the disk's signature, and its first byte."""

    signature: int
    offset: int

    def __str__(self) -> str:
        return f"at byte {self.offset:#x} of MBR {self.signature:08x}"


@dataclass(frozen=True, slots=True)
class Table:
    """signature is the disk's; fault says why there are no logical partitions, or no more of
    them, "" where nothing is wrong.
    """

    signature: int
    partitions: tuple[Partition, ...]
    fault: str


def announces_gpt(first: bytes) -> bool:
    """Does a record of a disk's first block, protective (5.2.3) or hybrid, stand for a GPT?"""
    if len(first) < LAYOUT.size:
        return False
    _, _, _, records, signature = LAYOUT.unpack_from(first)
    return signature == SIGNATURE and PROTECTIVE in records[4 :: _RECORD.size]


def read_mbr(read: Reader, block_size: int, nr_blocks: int) -> Table | None:
    """The disk's table; None where the first block has none, as that of a file system.

    FormatError, as EDK II refuses the whole of it, when partitions overlap or are not within the
    disk. What is wrong with a chain of logical ones only ends that.
    """
    first = read(0, LAYOUT.size)
    records = _records(first, 0)
    if not records:
        return None
    for index, each in enumerate(records):
        if not 0 < each.first_lba < each.end <= nr_blocks:
            raise FormatError(f"MBR: {each}, of a disk of {nr_blocks}")
        _check_apart(each, records[:index])
    partitions = [each for each in records if each.type not in _EXTENDED]
    extended = [each for each in records if each.type in _EXTENDED]
    fault = ""
    if len(extended) > 1:
        fault = "MBR: more than one extended partition"
    elif extended:
        logical = _Chain(read, block_size, extended[0])
        try:
            logical.follow()
        except FormatError as error:
            fault = str(error)
        partitions += logical.found
    return Table(LAYOUT.unpack_from(first)[1], tuple(partitions), fault)


def _records(block: bytes, base: int) -> list[Partition]:
    """Those in use, from block base on; none where this is no such block."""
    if len(block) < LAYOUT.size:
        return []
    _, _, _, data, signature = LAYOUT.unpack_from(block)
    raw = list(_RECORD.iter_unpack(data))
    if signature != SIGNATURE or any(flag & ~_ACTIVE for flag, *_ in raw):
        return []
    return [
        Partition(number, type_, bool(flag), base + start, count)
        for number, (flag, type_, start, count) in enumerate(raw, 1)
        if type_ and count
    ]


def _check_apart(partition: Partition, others: Sequence[Partition]) -> None:
    for other in others:
        if partition.first_lba < other.end and other.first_lba < partition.end:
            raise FormatError(f"MBR: {partition}, overlaps {other}")


class _Chain:
    """Logical partitions: each link has one, and where the next link is, in an extended one."""

    def __init__(self, read: Reader, block_size: int, extended: Partition) -> None:
        self._read, self._block_size, self._extended = read, block_size, extended
        self.found: list[Partition] = []

    def follow(self) -> None:
        """Find them; FormatError says where the chain is none."""
        links: set[int] = set()
        link: int | None = self._extended.first_lba
        while link is not None:
            what = f"MBR: extended partition: link at LBA {link}"
            if link in links:
                raise FormatError(f"{what}: was there before")
            if len(links) == LOGICAL_MAX:
                raise FormatError(f"{what}: more than {LOGICAL_MAX} of them")
            links.add(link)
            link = self._take(link, what)

    def _take(self, link: int, what: str) -> int | None:
        """Take the partition of a link; the block of the next link, None behind the last."""
        block = self._read(link * self._block_size, LAYOUT.size)
        if len(block) < LAYOUT.size or LAYOUT.unpack_from(block)[4] != SIGNATURE:
            raise FormatError(f"{what}: is none")
        following = None
        for each in _records(block, link):
            if each.type in _EXTENDED:
                following = following or self._extended.first_lba + each.first_lba - link
                continue
            number = _FIRST_LOGICAL + len(self.found)
            partition = Partition(number, each.type, False, each.first_lba, each.nr_blocks)
            if not link < partition.first_lba < partition.end <= self._extended.end:
                raise FormatError(f"{what}: {partition}, not within the extended one")
            _check_apart(partition, self.found)
            self.found.append(partition)
            if len(self.found) == LOGICAL_MAX:
                raise FormatError(f"{what}: more than {LOGICAL_MAX} partitions")
        if following is not None and not self._extended.first_lba < following < self._extended.end:
            raise FormatError(f"{what}: the next one, at LBA {following}, is not within it")
        return following
