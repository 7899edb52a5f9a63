# SPDX-License-Identifier: Apache-2.0
"""Partition tables of an MBR: good ones, and those that want to do harm."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pykexec.disk.mbr import LOGICAL_MAX, Identity, Table, read_mbr
from pykexec.errors import FormatError
from pykexec.run import run
from tests.support.mbr_disk import BASIC, DISK, ESP, EXTENDED, Record, put

NR_BLOCKS = 4096


def table(disk: bytes | bytearray) -> Table | None:
    return read_mbr(lambda at, size: bytes(disk[at : at + size]), 512, len(disk) // 512)


def disk(*records: Record, **links: tuple[Record, ...]) -> bytearray:
    """Of 2 MiB; links are blocks by their number: lba64=(...)."""
    data = bytearray(NR_BLOCKS * 512)
    put(data, 0, *records)
    for name, found in links.items():
        put(data, int(name.removeprefix("lba")), *found)
    return data


def places(found: Table | None) -> list[tuple[int, int, int, int]]:
    assert found
    return [(each.number, each.type, each.first_lba, each.nr_blocks) for each in found.partitions]


def test_what_another_program_made(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(64 << 20))
    words = "o n p 1 2048 20000 a 1 t ef n e 2 20480 130000 n l 24576 30000 n l 40000 50000 t 6 7 w"
    answers = "\n".join([*words.split(), ""]).encode()
    # It asks the kernel to read the table, which no file is for.
    run(["busybox", "fdisk", "-u", path], stdin=answers, success=(1,))
    found = table(path.read_bytes())
    assert places(found) == [
        (1, ESP, 2048, 17953),
        (5, 0x83, 24576, 5425),
        (6, BASIC, 40000, 10001),
    ]
    assert found and not found.fault
    assert [each.number for each in found.partitions if each.active] == [1]


def test_a_disk_has_a_signature_by_which_its_partitions_are_known() -> None:
    found = table(disk(Record(BASIC, 8, 100)))
    assert found and found.signature == DISK
    assert str(Identity(DISK, 0x100000)) == "at byte 0x100000 of MBR 1a2b3c4d"


@pytest.mark.parametrize(
    "first",
    [
        bytes(NR_BLOCKS * 512),
        bytes(510) + b"\x55\xaa",
        bytes(100),
        bytes(disk(Record(BASIC, 8, 100, flag=0x42))),
        bytes(disk(Record(0, 8, 100))),
        bytes(disk(Record(BASIC, 8, 0))),
    ],
    ids=["zeros", "no records", "short", "flag", "type", "size"],
)
def test_what_is_no_table(first: bytes) -> None:
    assert table(first) is None


@pytest.mark.parametrize(
    ("records", "fault"),
    [
        ([Record(BASIC, 8, 4089)], r"partition 1, blocks \[8, 4097\), of a disk of 4096"),
        ([Record(BASIC, 0, 8)], r"partition 1, blocks \[0, 8\), of a disk of 4096"),
        ([Record(BASIC, 0xFFFFFFFF, 0xFFFFFFFF)], "partition 1, blocks .*, of a disk of 4096"),
        (
            [Record(BASIC, 8, 100), Record(BASIC, 107, 8)],
            r"partition 2, blocks \[107, 115\), overlaps partition 1, blocks \[8, 108\)",
        ),
        (
            [Record(BASIC, 8, 100), Record(EXTENDED, 64, 8)],
            "partition 2, blocks .*, overlaps partition 1",
        ),
    ],
)
def test_a_table_that_firmware_refuses_is_refused(records: list[Record], fault: str) -> None:
    with pytest.raises(FormatError, match=f"^MBR: {fault}"):
        table(disk(*records))


def test_partitions_that_touch_do_not_overlap() -> None:
    found = table(disk(Record(BASIC, 8, 100), Record(BASIC, 108, 8), Record(BASIC, 116, 3980)))
    assert places(found) == [(1, BASIC, 8, 100), (2, BASIC, 108, 8), (3, BASIC, 116, 3980)]


OUTER = Record(EXTENDED, 1000, 3000)
FIRST = Record(BASIC, 1, 99)  # Relative to its own link.


@pytest.mark.parametrize(
    ("links", "fault"),
    [
        ({"lba1000": (FIRST, Record(5, 0, 100))}, "LBA 1000: the next one, at LBA 1000"),
        (
            {"lba1000": (FIRST, Record(5, 200, 9)), "lba1200": (FIRST, Record(5, 200, 9))},
            "LBA 1200: was there before",
        ),
        ({"lba1000": (FIRST, Record(5, 3000, 9))}, "LBA 1000: the next one, at LBA 4000, is not"),
        ({"lba1000": (FIRST, Record(5, 0xFFFFFFFF, 9))}, "is not within it"),
        ({"lba1000": (FIRST, Record(5, 500, 9))}, "LBA 1500: is none"),
        (
            {"lba1000": (FIRST, Record(5, 50, 9)), "lba1050": (FIRST,)},
            r"MBR: partition 6, blocks \[1051, 1150\), overlaps partition 5, blocks \[1001, 1100\)",
        ),
        (
            {"lba1000": (FIRST, Record(5, 500, 9)), "lba1500": (Record(BASIC, 1, 2500),)},
            r"partition 6, blocks \[1501, 4001\), not within the extended one",
        ),
    ],
)
def test_a_chain_that_is_none_ends_and_what_was_before_counts(
    links: dict[str, tuple[Record, ...]], fault: str
) -> None:
    found = table(disk(Record(BASIC, 8, 100), OUTER, **links))
    assert places(found)[:2] == [(1, BASIC, 8, 100), (5, BASIC, 1001, 99)]
    assert found and re.search(fault, found.fault)


def test_two_extended_partitions_are_one_too_many() -> None:
    found = table(disk(Record(BASIC, 8, 100), OUTER, Record(5, 500, 100), lba1000=(FIRST,)))
    assert places(found) == [(1, BASIC, 8, 100)]
    assert found and found.fault == "MBR: more than one extended partition"


def test_a_chain_without_end_is_bounded() -> None:
    """Each link has nothing but the next one: only their number ends them."""
    links = {f"lba{1000 + n}": (Record(5, n + 1, 1),) for n in range(2000)}
    read: list[int] = []
    data = disk(OUTER, **links)

    def reader(at: int, size: int) -> bytes:
        read.append(at)
        return bytes(data[at : at + size])

    found = read_mbr(reader, 512, NR_BLOCKS)
    assert found and found.fault.endswith(f"more than {LOGICAL_MAX} of them")
    assert len(read) == 1 + LOGICAL_MAX


def test_so_many_partitions_and_no_more() -> None:
    links = {
        f"lba{1000 + 2 * n}": (Record(BASIC, 1, 1), Record(5, 2 * n + 2, 2)) for n in range(200)
    }
    found = table(disk(OUTER, **links))
    assert found and len(found.partitions) == LOGICAL_MAX
    assert found.fault.endswith(f"more than {LOGICAL_MAX} partitions")
