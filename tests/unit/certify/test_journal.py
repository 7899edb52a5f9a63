# SPDX-License-Identifier: Apache-2.0
"""What a reset cuts off counts for nothing, and what stands before it stays."""

from __future__ import annotations

import errno

import pytest

from pykexec.certify.journal import Journal, MemoryArea, Record, encode_record, parse_journal
from pykexec.errors import FirmwareError

FIRST: Record = {"kind": "start", "salt": "00"}
SECOND: Record = {"kind": "begin", "step": "disks"}
WHOLE = encode_record(FIRST) + encode_record(SECOND)


def test_records_are_read_as_they_were_written() -> None:
    journal = Journal(MemoryArea(4096))
    journal.append(FIRST)
    journal.append(SECOND)
    area = MemoryArea(4096)
    area.write(0, WHOLE)
    assert journal.records == Journal(area).records == [FIRST, SECOND]


@pytest.mark.parametrize("size", range(len(encode_record(FIRST)), len(WHOLE) - 1))
def test_a_record_that_is_cut_off_anywhere_leaves_those_before_it(size: int) -> None:
    assert parse_journal(WHOLE[:size]) == ([FIRST], len(encode_record(FIRST)))


@pytest.mark.parametrize("at", [0, 3, 12, len(encode_record(FIRST)) - 2])
def test_a_record_with_a_wrong_bit_is_none(at: int) -> None:
    spoilt = bytearray(encode_record(FIRST))
    spoilt[at] ^= 1
    assert parse_journal(bytes(spoilt)) == ([], 0)


@pytest.mark.parametrize(
    "data", [b"", b"\0" * 4096, b"\n" * 4096, b"00000000 {}\n", b"[1]\n", b"\xff" * 100]
)
def test_what_is_no_journal_has_no_records(data: bytes) -> None:
    assert parse_journal(data) == ([], 0)


def test_the_rest_of_a_torn_record_does_not_stand_behind_a_shorter_one() -> None:
    area = MemoryArea(4096)
    area.write(0, encode_record(FIRST) + encode_record({"kind": "done", "facts": "x" * 500})[:-7])
    journal = Journal(area)
    journal.append(SECOND)
    assert area.read() == WHOLE.ljust(4096, b"\n")


def test_a_full_area_keeps_what_it_has() -> None:
    area = MemoryArea(len(encode_record(FIRST)) + 20)
    journal = Journal(area)
    journal.append(FIRST)
    with pytest.raises(FirmwareError, match="do not fit") as caught:
        journal.append(SECOND)
    assert caught.value.errno == errno.ENOSPC
    assert Journal(area).records == journal.records == [FIRST]
