# SPDX-License-Identifier: Apache-2.0
"""Page tables: what was mapped is found again, and strange tables do not lead astray."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pykexec._native import ffi, lib

if TYPE_CHECKING:
    from pykexec._native import CData

PAGE = 1 << 12
LARGE = 1 << 21
HUGE = 1 << 30
FOUR, FIVE = lib.PK_FOUR_LEVELS, lib.PK_FIVE_LEVELS
CANONICAL_END = 1 << 47
PHYSICAL_END = 1 << 52
PRESENT = lib.PK_PTE_PRESENT
BIG = lib.PK_PTE_PRESENT | lib.PK_PTE_HUGE


class Pool:
    """Page-aligned memory for tables, and the reader that goes with it."""

    def __init__(self, nr_pages: int, levels: int = FOUR) -> None:
        # Not zeroed: the tables must not rely on it.
        self._memory = ffi.new("u8[]", b"\xff" * ((nr_pages + 1) * PAGE))
        self.size = nr_pages * PAGE
        self.levels = levels
        start = int(ffi.cast("uintptr_t", self._memory))
        self.start = (start + PAGE - 1) // PAGE * PAGE
        self.table: CData = ffi.new("struct pk_page_table *")

    def init(self) -> bool:
        return lib.pk_page_table_init(self.table, self.levels, self.start, self.size)

    def read(self, context: CData, address: int) -> CData:
        assert self.start <= address < self.start + self.table.used
        return ffi.cast("u64 *", address)

    def walk(self, virt: int) -> tuple[int, int] | None:
        return walk(self.start, virt, self.read, self.levels)


def walk(root: int, virt: int, reader: object, levels: int = FOUR) -> tuple[int, int] | None:
    """Physical address and page size, or None."""
    read = ffi.callback("const u64 *(void *, u64)", reader)  # type: ignore[arg-type]
    physical, entry, size = ffi.new("u64 *"), ffi.new("u64 *"), ffi.new("u64 *")
    if not lib.pk_page_table_walk(root, levels, virt, read, ffi.NULL, physical, entry, size):
        assert (physical[0], entry[0], size[0]) == (0, 0, 0)
        return None
    return physical[0], size[0]


@pytest.mark.parametrize(
    ("start", "end", "mapped", "not_mapped"),
    [
        (0, 1, [0, LARGE - 1], [LARGE]),
        (LARGE - 1, LARGE + 1, [0, LARGE, 2 * LARGE - 1], [2 * LARGE]),
        (LARGE, 2 * LARGE, [LARGE], [0, 2 * LARGE]),
        (HUGE - 1, HUGE + 1, [HUGE - LARGE, HUGE], [HUGE - LARGE - 1, HUGE + LARGE]),
        ((1 << 39) - 1, (1 << 39) + 1, [(1 << 39) - 1, 1 << 39], [0]),
        (CANONICAL_END - 1, CANONICAL_END, [CANONICAL_END - 1], [CANONICAL_END, 0]),
        (5 * LARGE, 5 * LARGE, [], [0, 4 * LARGE, 5 * LARGE]),
        (5 * LARGE + 5, 5 * LARGE + 5, [], [5 * LARGE]),
    ],
)
@pytest.mark.parametrize("levels", [FOUR, FIVE])
def test_every_large_page_that_is_touched_is_mapped_to_itself(
    start: int, end: int, mapped: list[int], not_mapped: list[int], levels: int
) -> None:
    pool = Pool(levels + 2, levels)
    assert pool.init()
    assert lib.pk_page_table_map(pool.table, start, end)
    assert [pool.walk(address) for address in mapped] == [(address, LARGE) for address in mapped]
    assert [pool.walk(address) for address in not_mapped] == [None] * len(not_mapped)


def test_five_levels_reach_as_far_as_memory_does() -> None:
    last, edge = PHYSICAL_END - LARGE, CANONICAL_END
    pool = Pool(9, FIVE)
    assert pool.init()
    for start, end in [(edge - 1, edge + 1), (last, PHYSICAL_END)]:
        assert lib.pk_page_table_map(pool.table, start, end)
        assert [pool.walk(at) for at in (start, end - 1)] == [(start, LARGE), (end - 1, LARGE)]


def test_maps_add_up_and_share_tables() -> None:
    pool = Pool(4)
    assert pool.init()
    assert lib.pk_page_table_map(pool.table, 0, LARGE)
    used = pool.table.used
    assert lib.pk_page_table_map(pool.table, 0, 512 * LARGE)
    assert (used, pool.table.used) == (3 * PAGE, 3 * PAGE)
    assert lib.pk_page_table_map(pool.table, 512 * LARGE, 513 * LARGE)
    assert pool.walk(512 * LARGE + 5) == (512 * LARGE + 5, LARGE)


@pytest.mark.parametrize("nr_pages", [1, 2])
def test_an_exhausted_pool_is_not_overrun(nr_pages: int) -> None:
    pool = Pool(nr_pages)
    assert pool.init()
    assert not lib.pk_page_table_map(pool.table, 0, 1)
    assert pool.table.used <= pool.size
    assert pool.walk(0) is None


@pytest.mark.parametrize(
    ("start", "end", "levels"),
    [
        (2, 1, FOUR),
        (0, CANONICAL_END + 1, FOUR),
        (0, PHYSICAL_END + 1, FIVE),
        (1 << 63, (1 << 63) + 1, FOUR),
        ((1 << 64) - 2, (1 << 64) - 1, FIVE),
    ],
)
def test_ranges_that_are_not_canonical_are_refused(start: int, end: int, levels: int) -> None:
    pool = Pool(6, levels)
    assert pool.init()
    assert not lib.pk_page_table_map(pool.table, start, end)
    assert pool.table.used == PAGE


@pytest.mark.parametrize(
    ("levels", "pool", "pool_size"),
    [
        (FOUR, 0, PAGE),
        (FOUR, PAGE, 0),
        (FOUR, PAGE, PAGE - 1),
        (FOUR, PAGE + 8, PAGE),
        (FOUR, (1 << 64) - PAGE, PAGE),
        (FOUR, PAGE, (1 << 64) - 1),
        (3, PAGE, PAGE),
        (6, PAGE, PAGE),
    ],
)
def test_a_pool_that_cannot_be(levels: int, pool: int, pool_size: int) -> None:
    assert not lib.pk_page_table_init(ffi.new("struct pk_page_table *"), levels, pool, pool_size)


class Tables:
    """Hand-made tables: address to {index: entry}; all others cannot be read."""

    def __init__(self, tables: dict[int, dict[int, int]]) -> None:
        self._tables = {}
        for address, entries in tables.items():
            table = ffi.new("u64[512]")
            for index, entry in entries.items():
                table[index] = entry
            self._tables[address] = table

    def read(self, context: CData, address: int) -> CData:
        return self._tables.get(address, ffi.NULL)


NX = 1 << 63
FOUR_LEVELS = {
    0x1000: {
        0: 0x2000 | PRESENT,
        256: 0x2000 | PRESENT,
        1: 0x9000 | PRESENT,
        2: BIG,
        511: 0x1000 | PRESENT,
    },
    0x2000: {0: 0x3000 | PRESENT, 1: 0x80000000 | BIG | NX, 2: 0x80001000 | BIG, 3: 0},
    0x3000: {0: 0x4000 | PRESENT, 1: 0x600000 | BIG, 2: 0x601000 | BIG | NX},
    0x4000: {
        0: 0x123000 | PRESENT,
        1: 0x124000 | BIG | NX,
        2: 0x125000,
        3: 0xFFFFF_FFFFF000 | PRESENT,
    },
}


@pytest.mark.parametrize(
    ("virt", "expected"),
    [
        (0x0, (0x123000, PAGE)),
        (0xABC, (0x123ABC, PAGE)),
        # Bit 7 of the last level is the PAT bit, not a size.
        (0x1ABC, (0x124ABC, PAGE)),
        (0x2000, None),
        (0x3FFF, (0xFFFFF_FFFFFFFF & 0x000F_FFFF_FFFF_FFFF, PAGE)),
        (LARGE + 0x12345, (0x612345, LARGE)),
        # Bit 12 of a large entry is its PAT bit, not an address.
        (2 * LARGE + 0x12345, (0x612345, LARGE)),
        (HUGE + 0x123456, (0x80123456, HUGE)),
        (2 * HUGE + 0x123456, (0x80123456, HUGE)),
        (3 * HUGE, None),
        # The upper half, through entry 256.
        (0xFFFF_8000_0000_0ABC, (0x123ABC, PAGE)),
        # Not canonical.
        (0x0000_8000_0000_0ABC, None),
        (0xFFFF_0000_0000_0ABC, None),
        (1 << 63, None),
        # A table that cannot be read; a page size that the top level cannot have.
        (1 << 39, None),
        (2 << 39, None),
    ],
)
def test_walking_foreign_tables(virt: int, expected: tuple[int, int] | None) -> None:
    tables = Tables(FOUR_LEVELS)
    # PCIDs and flags in the low bits of CR3 are not part of the address.
    assert walk(0x1000 | 0xFFF, virt, tables.read) == expected


@pytest.mark.parametrize(
    ("virt", "expected"),
    [
        (0xABC, (0x123ABC, PAGE)),
        # What is not canonical with four levels.
        (0x0000_8000_0000_0ABC, (0x123ABC, PAGE)),
        (3 << 48, (0x123000, PAGE)),
        (0xFF00_0000_0000_0ABC, (0x123ABC, PAGE)),
        (1 << 56, None),
        # The top level has no pages, nor has the one below it.
        (1 << 48, None),
        (1 << 39, None),
    ],
)
def test_walking_foreign_tables_of_five_levels(virt: int, expected: tuple[int, int] | None) -> None:
    lower = 0x1000 | PRESENT
    top = {0: lower, 1: BIG, 3: lower, 256: lower}
    tables = Tables({**FOUR_LEVELS, 0x7000: top})
    assert walk(0x7000 | 0xFFF, virt, tables.read, FIVE) == expected


def test_tables_that_point_at_themselves_end() -> None:
    tables = Tables(FOUR_LEVELS)
    top = (1 << 64) - 1
    assert walk(0x1000, top, tables.read) == (0x1FFF, PAGE)
