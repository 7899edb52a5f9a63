# SPDX-License-Identifier: Apache-2.0
"""Mailbox messages: hostile framing is refused, answers stay inside their buffer."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from pykexec import abi
from pykexec._native import ffi, lib
from tests.support.samples import message, request

if TYPE_CHECKING:
    from pykexec._native import CData

HEADER = abi.sizeof("struct pk_message")
REQUEST = abi.sizeof("struct pk_request")
REPLY = abi.sizeof("struct pk_reply")


def aligned(data: bytes, offset: int = 0) -> CData:
    """A copy of data at an address that is a multiple of 8, plus offset."""
    memory = ffi.new("u64[]", (len(data) + offset) // 8 + 1)
    start = ffi.cast("u8 *", memory) + offset
    ffi.memmove(start, data, len(data))
    return ffi.gc(start, lambda _: memory)


def read(data: bytes) -> tuple[list[tuple[int, int, bytes]], int]:
    """Op, tag and body of each request, and the status at the end."""
    copy = aligned(data)
    reader = ffi.new("struct pk_message_reader *")
    status = lib.pk_message_open(copy, len(data), reader)
    if status != lib.EFI_SUCCESS:
        return [], status
    found = []
    body_size, end = ffi.new("u64 *"), ffi.new("efi_status_t *", 99)
    while record := lib.pk_message_next(reader, body_size, end):
        assert end[0] == lib.EFI_SUCCESS
        body = ffi.buffer(record + 1, body_size[0])
        found.append((record.op, record.tag, bytes(body)))
    assert not lib.pk_message_next(reader, body_size, end)
    return found, end[0]


def test_requests_come_in_order_with_their_bodies() -> None:
    data = message([request(1, 5), request(2, 6, b"body!"), request(3, 7, b"12345678")])
    expected = [(1, 5, b""), (2, 6, b"body!"), (3, 7, b"12345678")]
    assert read(data) == (expected, lib.EFI_SUCCESS)


def test_a_message_may_be_empty() -> None:
    assert read(message([])) == ([], lib.EFI_SUCCESS)


ONE = [request(1, 5)]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", lib.EFI_INVALID_PARAMETER),
        (message([])[:-1], lib.EFI_INVALID_PARAMETER),
        (message(ONE)[:-1], lib.EFI_INVALID_PARAMETER),
        (message(ONE) + b"\0", lib.EFI_INVALID_PARAMETER),
        (message(ONE, magic=0), lib.EFI_INVALID_PARAMETER),
        (message(ONE, version=0), lib.EFI_INCOMPATIBLE_VERSION),
        (message(ONE, version=2), lib.EFI_INCOMPATIBLE_VERSION),
        (message(ONE, size=0), lib.EFI_INVALID_PARAMETER),
        (message(ONE, size=0xFFFFFFFF), lib.EFI_INVALID_PARAMETER),
        (message(ONE * (lib.PK_BATCH_MAX + 1)), lib.EFI_INVALID_PARAMETER),
        (message([bytes(lib.PK_MESSAGE_MAX)]), lib.EFI_INVALID_PARAMETER),
    ],
)
def test_a_bad_header_is_refused(data: bytes, status: int) -> None:
    assert read(data) == ([], status)


def test_the_largest_batch_is_taken() -> None:
    found, status = read(message(ONE * lib.PK_BATCH_MAX))
    assert (len(found), status) == (lib.PK_BATCH_MAX, lib.EFI_SUCCESS)


@pytest.mark.parametrize("offset", [1, 2, 4, 7])
def test_an_unaligned_message_is_refused(offset: int) -> None:
    data = message(ONE)
    reader = ffi.new("struct pk_message_reader *")
    status = lib.pk_message_open(aligned(data, offset), len(data), reader)
    assert status == lib.EFI_INVALID_PARAMETER


@pytest.mark.parametrize(
    ("last", "nr_records"),
    [
        (request(2, 6, size=0), 2),
        (request(2, 6, size=REQUEST - 1), 2),
        (request(2, 6, size=REQUEST + 1), 2),
        (request(2, 6, b"12345678", size=0xFFFFFFFF), 2),
        (request(2, 6, b"12345678", size=0xFFFFFFF9), 2),
        (request(2, 6, b"1")[:-1], 2),
        (request(2, 6)[:-1], 2),
        (b"\0" * 8, 2),
        (b"", 2),
        (request(2, 6), 1),
        (b"\0", 1),
    ],
)
def test_a_record_that_does_not_fit_ends_the_walk(last: bytes, nr_records: int) -> None:
    data = message([request(1, 5), last], nr_records=nr_records)
    assert read(data) == ([(1, 5, b"")], lib.EFI_BAD_BUFFER_SIZE)


@pytest.mark.parametrize("seed", range(200))
def test_random_damage_never_leaves_the_message(seed: int) -> None:
    rng = random.Random(seed)
    data = bytearray(message([request(op, op, b"x" * op) for op in range(20)]))
    for _ in range(rng.randrange(1, 6)):
        data[rng.randrange(HEADER, len(data))] = rng.choice([0, 1, 0x10, 0x7F, 0xFF])
    found, _ = read(bytes(data))
    assert sum(REQUEST + len(body) for _, _, body in found) <= len(data) - HEADER


class Writer:
    """An answer in a buffer of capacity bytes, with a guard behind."""

    def __init__(self, capacity: int) -> None:
        self.cdata = ffi.new("struct pk_message_writer *")
        self._capacity = capacity
        self._memory = ffi.new("u64[]", capacity // 8 + 3)
        ffi.memmove(self._memory, b"\xee" * ffi.sizeof(self._memory), ffi.sizeof(self._memory))
        lib.pk_message_begin(self.cdata, self._memory, capacity, 77)

    def append(self, op: int, body: bytes, status: int = 0) -> bool:
        room = ffi.new("u64 *")
        place = lib.pk_message_body(self.cdata, room)
        if place:
            ffi.memmove(place, body[: room[0]], min(room[0], len(body)))
        made = ffi.new("struct pk_request *", {"op": op, "tag": op + 100})
        lib.pk_message_append(self.cdata, made, status, len(body))
        return bool(place)

    def finish(self) -> bytes:
        size = lib.pk_message_finish(self.cdata)
        assert size <= self._capacity
        whole = bytes(ffi.buffer(self._memory))
        assert whole[self._capacity :] == b"\xee" * (len(whole) - self._capacity)
        return whole[:size]


def replies(data: bytes) -> list[tuple[int, int, int, bytes]]:
    """Op, tag, status and body of each reply in a well-formed answer."""
    header = abi.unpack("struct pk_message", data)
    assert (header.size, header.sequence) == (len(data), 77)
    assert (header.magic, header.version) == (lib.PK_MESSAGE_MAGIC, lib.PK_MESSAGE_VERSION)
    found, offset = [], HEADER
    for _ in range(header.nr_records):
        reply = abi.unpack("struct pk_reply", data, offset)
        body = data[offset + REPLY : offset + reply.size]
        found.append((reply.op, reply.tag, reply.status, body))
        end = offset + reply.size
        offset = (end + 7) // 8 * 8
        assert data[end:offset] == bytes(offset - end)
    assert offset == len(data)
    return found


def test_replies_are_padded_and_counted() -> None:
    writer = Writer(1000)
    assert [writer.append(1, b""), writer.append(2, b"abc", 5), writer.append(3, b"12345678")]
    assert replies(writer.finish()) == [
        (1, 101, 0, b""),
        (2, 102, 5, b"abc"),
        (3, 103, 0, b"12345678"),
    ]


@pytest.mark.parametrize("capacity", range(HEADER))
def test_no_answer_without_room_for_its_header(capacity: int) -> None:
    writer = Writer(capacity)
    assert not writer.append(1, b"")
    assert writer.finish() == b""


@pytest.mark.parametrize("capacity", range(HEADER, HEADER + REPLY))
def test_a_reply_without_room_is_left_out(capacity: int) -> None:
    writer = Writer(capacity)
    assert not writer.append(1, b"")
    assert replies(writer.finish()) == []


@pytest.mark.parametrize(
    ("room", "body", "reply"),
    [
        (8, b"12345678", (1, 101, 0, b"12345678")),
        (15, b"12345678", (1, 101, 0, b"12345678")),
        (15, b"123456789", (1, 101, lib.EFI_BUFFER_TOO_SMALL, b"")),
        (16, b"123456789", (1, 101, 0, b"123456789")),
        (0, b"1", (1, 101, lib.EFI_BUFFER_TOO_SMALL, b"")),
    ],
)
def test_a_body_that_is_too_large_becomes_a_status(
    room: int, body: bytes, reply: tuple[int, int, int, bytes]
) -> None:
    writer = Writer(HEADER + REPLY + room)
    assert writer.append(1, body)
    assert replies(writer.finish()) == [reply]


def test_an_answer_has_no_more_records_than_a_message() -> None:
    writer = Writer(2 * lib.PK_BATCH_MAX * REPLY)
    kept = [writer.append(1, b"") for _ in range(lib.PK_BATCH_MAX + 2)]
    assert kept == [True] * lib.PK_BATCH_MAX + [False] * 2
    assert len(replies(writer.finish())) == lib.PK_BATCH_MAX
