# SPDX-License-Identifier: Apache-2.0
"""Ranges, maps and how sizes read."""

from __future__ import annotations

import pytest

from pykexec.memory import MemoryDescriptor, MemoryMap, Range, format_size


@pytest.mark.parametrize(
    ("other", "shares"),
    [
        (Range(0x0, 0x1000), False),
        (Range(0x0, 0x1001), True),
        (Range(0x1FFF, 0x3000), True),
        (Range(0x2000, 0x3000), False),
    ],
)
def test_ranges_are_half_open(other: Range, shares: bool) -> None:
    assert Range(0x1000, 0x2000).overlaps(other) is shares
    assert 0x1000 in Range(0x1000, 0x2000)
    assert 0x2000 not in Range(0x1000, 0x2000)


def test_a_range_prints_half_open_in_hex() -> None:
    assert str(Range(0x1000, 0x2000)) == "[0x1000, 0x2000)"


def test_a_map_sums_by_type_biggest_first() -> None:
    memory = MemoryMap(
        (
            MemoryDescriptor(Range(0, 0x1000), 3, 0xF),
            MemoryDescriptor(Range(0x1000, 0x5000), 7, 0xF),
            MemoryDescriptor(Range(0x5000, 0x6000), 0x80000001, 0xF),
            MemoryDescriptor(Range(0x6000, 0x7000), 3, 0xF),
        )
    )
    assert list(memory.size_by_type().items()) == [
        ("conventional memory", 0x4000),
        ("boot services code", 0x2000),
        ("type 0x80000001", 0x1000),
    ]


@pytest.mark.parametrize(
    ("given_back", "free"),
    [
        ((), (0x5000, 0x3000)),
        ((Range(0x1000, 0x2000),), (0x6000, 0x5000)),
        ((Range(0x9000, 0xA000), Range(0, 0)), (0x6000, 0x3000)),
        ((Range(0x6000, 0x8000), Range(0x1000, 0x2000)), (0x8000, 0x5000)),
    ],
)
def test_what_is_free_counts_whole_pieces(
    given_back: tuple[Range, ...], free: tuple[int, int]
) -> None:
    rows = [(0, 0x1000, 7), (0x1000, 0x2000, 1), (0x2000, 0x4000, 7), (0x4000, 0x5000, 7)]
    rows += [(0x5000, 0x6000, 0), (0x8000, 0x9000, 7)]
    memory = MemoryMap(tuple(MemoryDescriptor(Range(a, b), type_, 0) for a, b, type_ in rows))
    assert memory.free(given_back) == free


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (4096, "4 KiB"), (1536, "1.5 KiB"), (256 << 20, "256 MiB")]
)
def test_sizes_read_in_binary_units(size: int, text: str) -> None:
    assert format_size(size) == text
