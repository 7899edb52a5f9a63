# SPDX-License-Identifier: Apache-2.0
"""The handoff's seal: no bit of what it covers can change, and all it leads to lies in the stub."""

from __future__ import annotations

import zlib

import pytest

from pykexec import abi
from pykexec._native import ffi, lib
from pykexec.abi import HandoffFault

STUB = 0x7E000000
STUB_SIZE = 0x100000
ADDRESS = STUB + 0x8000
SIZE = abi.sizeof("struct pk_handoff")
SEALED = ffi.offsetof("struct pk_handoff", "boot_params")
TOP = (1 << 64) - 1


def sealed(resume_entry: int = STUB + 0x1000, stub: tuple[int, int] = (STUB, STUB_SIZE)) -> bytes:
    handoff = ffi.new("struct pk_handoff *")
    handoff.resume_entry = resume_entry
    handoff.stub.start, handoff.stub.size = stub
    handoff.boot_params = 0x1234
    lib.pk_handoff_seal(handoff)
    return bytes(ffi.buffer(handoff))


def check(data: bytes, address: int = ADDRESS) -> HandoffFault:
    return HandoffFault(lib.pk_handoff_check(data, len(data), address))


def with_field(name: str, value: int) -> bytes:
    """Another value, and a checksum that agrees with it."""
    handoff = ffi.new("struct pk_handoff *")
    ffi.memmove(handoff, sealed(), SIZE)
    setattr(handoff, name, value)
    handoff.checksum = 0
    handoff.checksum = zlib.crc32(bytes(ffi.buffer(handoff))[:SEALED])
    return bytes(ffi.buffer(handoff))


@pytest.mark.parametrize("data", [b"", b"123456789", bytes(1000), bytes(range(256))])
@pytest.mark.parametrize("seed", [0, 1, 0xCBF43926])
def test_crc32_is_zlibs(data: bytes, seed: int) -> None:
    assert lib.pk_crc32(seed, data, len(data)) == zlib.crc32(data, seed)


def test_what_was_sealed_is_accepted() -> None:
    assert check(sealed()) == HandoffFault.OK
    assert check(sealed() + b"more") == HandoffFault.OK


def test_the_seal_is_a_crc32_that_others_can_compute() -> None:
    assert with_field("resume_entry", STUB + 0x1000) == sealed()


@pytest.mark.parametrize("size", [0, 1, 7, 8, 16, SEALED, SIZE - 1])
def test_a_short_handoff_is_refused_unread(size: int) -> None:
    assert check(sealed()[:size]) == HandoffFault.BAD_SIZE


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("magic", 0, HandoffFault.BAD_MAGIC),
        ("magic", lib.PK_HANDOFF_MAGIC ^ 1, HandoffFault.BAD_MAGIC),
        ("version", 0, HandoffFault.BAD_VERSION),
        ("version", lib.PK_HANDOFF_VERSION + 1, HandoffFault.BAD_VERSION),
        ("size", SIZE - 1, HandoffFault.BAD_SIZE),
        ("size", SIZE + 1, HandoffFault.BAD_SIZE),
        ("sealed_size", 0, HandoffFault.BAD_SIZE),
        ("sealed_size", SEALED - 8, HandoffFault.BAD_SIZE),
        ("sealed_size", 0xFFFFFFFF, HandoffFault.BAD_SIZE),
        ("resume_entry", 0, HandoffFault.BAD_ENTRY),
        ("resume_entry", STUB - 1, HandoffFault.BAD_ENTRY),
        ("resume_entry", STUB, HandoffFault.OK),
        ("resume_entry", STUB + STUB_SIZE - 1, HandoffFault.OK),
        ("resume_entry", STUB + STUB_SIZE, HandoffFault.BAD_ENTRY),
        ("resume_entry", TOP, HandoffFault.BAD_ENTRY),
    ],
)
def test_each_field_is_checked_though_the_sum_is_right(
    field: str, value: int, fault: HandoffFault
) -> None:
    assert check(with_field(field, value)) == fault


@pytest.mark.parametrize("byte", range(SEALED))
def test_every_sealed_byte_counts(byte: int) -> None:
    data = bytearray(sealed())
    data[byte] ^= 0x80
    assert check(bytes(data)) != HandoffFault.OK


def test_what_is_not_sealed_may_change() -> None:
    assert check(sealed()[:SEALED] + b"\xff" * (SIZE - SEALED)) == HandoffFault.OK


@pytest.mark.parametrize(
    ("address", "fault"),
    [
        (0, HandoffFault.OK),
        (STUB, HandoffFault.OK),
        (STUB + STUB_SIZE - SIZE, HandoffFault.OK),
        (STUB + STUB_SIZE - SIZE + 1, HandoffFault.BAD_ENTRY),
        (STUB - 1, HandoffFault.BAD_ENTRY),
        (0x1000, HandoffFault.BAD_ENTRY),
        (TOP, HandoffFault.BAD_ENTRY),
    ],
)
def test_a_copy_elsewhere_is_refused(address: int, fault: HandoffFault) -> None:
    assert check(sealed(), address) == fault


@pytest.mark.parametrize("stub", [(STUB, 0), (0, 0), (TOP, TOP), (STUB + 0x2000, TOP)])
def test_a_stub_range_that_is_empty_or_wraps_contains_no_entry(stub: tuple[int, int]) -> None:
    assert check(sealed(stub=stub), 0) == HandoffFault.BAD_ENTRY
