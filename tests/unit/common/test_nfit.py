# SPDX-License-Identifier: Apache-2.0
"""Which RAM disks an NFIT announces (ACPI 6.5, 5.2.25)."""

from __future__ import annotations

import struct

import pytest

from pykexec._native import ffi, lib

START, SIZE = 0x7F000000, 0x2A00000


def spa_range(start: int = START, size: int = SIZE, type_: int = 0, length: int = 56) -> bytes:
    """A System Physical Address Range structure."""
    fields = (type_, length, 1, 0, 0, 0, bytes(16), start, size, 8)
    return struct.pack("<HHHHII16sQQQ", *fields).ljust(length, b"\0")


def has(*structures: bytes, start: int = START, size: int = SIZE) -> bool:
    """What pk_nfit_has() says of a table of these structures."""
    table = b"NFIT".ljust(40, b"\0") + b"".join(structures)
    return bool(lib.pk_nfit_has(ffi.from_buffer(table), len(table), start, size))


@pytest.mark.parametrize(
    "structures",
    [
        (spa_range(),),
        (spa_range(length=64),),  # ACPI 6.4 has appended to it
        (spa_range(start=0x1000), spa_range()),
        (struct.pack("<HH28x", 1, 32), spa_range()),
    ],
)
def test_a_range_is_found(structures: tuple[bytes, ...]) -> None:
    assert has(*structures)


@pytest.mark.parametrize(
    "structures",
    [
        (),
        (spa_range(start=START + 0x1000),),
        (spa_range(size=SIZE - 512),),
        (spa_range(type_=1),),
        (spa_range()[:-1],),
        (struct.pack("<HH", 1, 0), spa_range()),
        (struct.pack("<HH", 1, 3), spa_range()),
        (struct.pack("<HH", 1, 0xFFFF), spa_range()),
        (b"\0\0\0",),
    ],
)
def test_what_is_another_or_broken_is_not(structures: tuple[bytes, ...]) -> None:
    assert not has(*structures)


@pytest.mark.parametrize("size", [0, 4, 39, 40])
def test_a_table_without_structures_has_none(size: int) -> None:
    assert not lib.pk_nfit_has(ffi.from_buffer(bytes(40)), size, 0, 0)
