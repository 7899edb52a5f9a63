# SPDX-License-Identifier: Apache-2.0
"""GUID partition tables: good ones, damaged ones, and those that want to do harm."""

from __future__ import annotations

import struct
import zlib
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest

from pykexec.disk import Reader
from pykexec.disk.gpt import read_gpt
from pykexec.efi.guid import Guid
from pykexec.errors import FormatError
from pykexec.run import run

SIZE = 1 << 20
LAST = SIZE // 512 - 1
ESP = Guid.parse("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
FIRST, SECOND = (Guid.parse(f"{digit * 8}-0000-4000-8000-000000000000") for digit in "12")
# Offsets of fields in a header (UEFI 2.10, table 5-5).
CHECKSUM, OWN_LBA, FIRST_USABLE, ENTRIES_LBA, NR_ENTRIES, ENTRY_SIZE = 16, 24, 40, 72, 80, 84


@cache
def made() -> bytes:
    with NamedTemporaryFile() as file:
        file.truncate(SIZE)
        words = ["sgdisk", "--clear", "--set-alignment=1", "--new=1:64:127", "--typecode=1:ef00"]
        words += ["--change-name=1:Ünï ESP", f"--partition-guid=1:{FIRST}", "--new=4:128:255"]
        words += [f"--partition-guid=4:{SECOND}", "--change-name=4:", file.name]
        run(words, env={"PATH": "/usr/sbin:/usr/bin"}, timeout_s=30)
        return Path(file.name).read_bytes()


@pytest.fixture
def disk() -> bytearray:
    """A disk of sgdisk's: an ESP, a gap, and a partition without a name as number 4."""
    return bytearray(made())


def reader(disk: bytes | bytearray) -> Reader:
    return lambda offset, size: bytes(disk[offset : offset + size])


def change(disk: bytearray, lba: int, field: int, layout: str, value: int) -> bytearray:
    """Change a field of the header at lba, and make its checksum right again."""
    start = lba * 512
    struct.pack_into(layout, disk, start + field, value)
    struct.pack_into("<I", disk, start + CHECKSUM, 0)
    checksum = zlib.crc32(disk[start : start + 92])
    struct.pack_into("<I", disk, start + CHECKSUM, checksum)
    return disk


def numbers(disk: bytearray) -> tuple[list[int], bool]:
    table = read_gpt(reader(disk), 512, LAST + 1)
    assert table
    return [partition.number for partition in table.partitions], table.from_backup


def test_partitions_have_numbers_places_guids_and_names(disk: bytearray) -> None:
    table = read_gpt(reader(disk), 512, LAST + 1)
    assert table and not table.from_backup
    first, fourth = table.partitions
    assert (first.number, first.type, first.guid, first.name) == (1, ESP, FIRST, "Ünï ESP")
    assert (first.first_lba, first.nr_blocks) == (64, 64)
    assert (fourth.number, fourth.guid, fourth.name) == (4, SECOND, "")
    assert (fourth.first_lba, fourth.nr_blocks) == (128, 128)


@pytest.mark.parametrize("start", [512, 1024], ids=["header", "entries"])
def test_a_damaged_table_is_replaced_by_its_backup(disk: bytearray, start: int) -> None:
    disk[start + 40] ^= 1
    assert numbers(disk) == ([1, 4], True)


def test_of_two_damaged_tables_both_faults_are_told(disk: bytearray) -> None:
    disk[512] ^= 1
    disk[LAST * 512 + 60] ^= 1
    fault = rf"LBA 1: signature .*; GPT header at LBA {LAST}: wrong checksum"
    with pytest.raises(FormatError, match=fault):
        numbers(disk)


@pytest.mark.parametrize(
    "damage",
    [
        lambda disk: disk.__setitem__(slice(510, 512), b"\0\0"),
        lambda disk: disk.__setitem__(450, 0x83),
    ],
    ids=["no boot signature", "another type of partition"],
)
def test_without_a_protective_mbr_there_is_no_gpt(disk: bytearray, damage: object) -> None:
    assert callable(damage)
    damage(disk)
    assert read_gpt(reader(disk), 512, LAST + 1) is None


@pytest.mark.parametrize("size", [0, 511, 512, 1000, 1024, 9000])
def test_a_disk_that_is_cut_off_is_an_error_or_has_no_table(disk: bytearray, size: int) -> None:
    short = disk[:size]
    if size < 512:
        assert read_gpt(reader(short), 512, LAST + 1) is None
    else:
        with pytest.raises(FormatError):
            read_gpt(reader(short), 512, LAST + 1)


@pytest.mark.parametrize(
    ("field", "layout", "value", "fault"),
    [
        (NR_ENTRIES, "<I", 0xFFFFFFFF, "4294967295 entries"),
        (NR_ENTRIES, "<I", 8193, "8193 entries of 128 bytes"),
        (ENTRY_SIZE, "<I", 0, "entries of 0 bytes"),
        (ENTRY_SIZE, "<I", 0xFFFFFFF8, "entries of 4294967288 bytes"),
        (ENTRIES_LBA, "<Q", 1 << 63, "are cut off"),
        (ENTRIES_LBA, "<Q", LAST, "are cut off"),
        (FIRST_USABLE, "<Q", 1 << 60, "usable blocks 1152921504606846976"),
        (OWN_LBA, "<Q", 2, "made for LBA 2"),
        (12, "<I", 0xFFFFFFFF, "4294967295 bytes"),
        (12, "<I", 91, "91 bytes"),
    ],
)
def test_a_header_that_lies_with_a_right_checksum_is_refused(
    disk: bytearray, field: int, layout: str, value: int, fault: str
) -> None:
    change(disk, 1, field, layout, value)
    disk[LAST * 512] ^= 1
    with pytest.raises(FormatError, match=fault):
        numbers(disk)


def test_entries_outside_of_the_usable_blocks_are_left_out(disk: bytearray) -> None:
    struct.pack_into("<QQ", disk, 1024 + 32, 0, LAST)
    change(disk, 1, 88, "<I", zlib.crc32(disk[1024 : 1024 + 128 * 128]))
    assert numbers(disk) == ([4], False)
