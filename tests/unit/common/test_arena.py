# SPDX-License-Identifier: Apache-2.0
"""The arena against a model that knows nothing but the type of each page."""

from __future__ import annotations

import random
from itertools import groupby
from typing import TYPE_CHECKING

import pytest

from pykexec._native import ffi, lib
from pykexec.abi import MemoryType

if TYPE_CHECKING:
    from pykexec._native import CData

PAGE = lib.PK_PAGE_SIZE
FREE = MemoryType.CONVENTIONAL_MEMORY
LOADER = MemoryType.LOADER_DATA
TOP = (1 << 64) - 1

Region = tuple[int, int, int]


def make_arena(*ranges: tuple[int, int]) -> CData:
    arena = ffi.new("struct pk_arena *")
    lib.pk_arena_init(arena)
    for first_page, nr_pages in ranges:
        assert lib.pk_arena_add(arena, first_page * PAGE, nr_pages)
    return arena


def regions(arena: CData) -> list[Region]:
    """First page, pages, type."""
    return [
        (region.start // PAGE, region.nr_pages, region.type)
        for region in arena.regions[0 : arena.nr_regions]
    ]


def alloc(arena: CData, nr_pages: int, max_address: int = TOP, type_: int = LOADER) -> int | None:
    start = ffi.new("u64 *")
    status = lib.pk_arena_alloc(arena, type_, nr_pages, max_address, start)
    return start[0] // PAGE if status == lib.EFI_SUCCESS else None


@pytest.mark.parametrize(
    ("start", "nr_pages"),
    [
        (1, 1),
        (PAGE, 0),
        (TOP - PAGE + 1, 1),
        (PAGE, TOP // PAGE),
        (PAGE, 1 << 52),
        (PAGE, (1 << 52) + 1),
        (10 * PAGE, 1),
        (9 * PAGE, 2),
        (19 * PAGE, 5),
        (5 * PAGE, 100),
    ],
)
def test_ranges_that_wrap_overlap_or_are_unaligned_are_refused(start: int, nr_pages: int) -> None:
    arena = make_arena((10, 10))
    assert not lib.pk_arena_add(arena, start, nr_pages)
    assert regions(arena) == [(10, 10, FREE)]


def test_ranges_are_sorted_and_neighbours_merged() -> None:
    arena = make_arena((30, 5), (10, 5), (15, 5))
    assert regions(arena) == [(10, 10, FREE), (30, 5, FREE)]


def test_the_highest_pages_are_given_first() -> None:
    arena = make_arena((10, 10), (30, 5))
    assert [alloc(arena, size) for size in (2, 4, 4, 4, 4)] == [33, 16, 12, None, None]


@pytest.mark.parametrize(
    ("max_address", "first_page"),
    [
        (TOP, 18),
        (20 * PAGE - 1, 18),
        (20 * PAGE - 2, 17),
        (12 * PAGE - 1, 10),
        (12 * PAGE - 2, None),
        (0, None),
    ],
)
def test_an_allocation_ends_at_or_below_max(max_address: int, first_page: int | None) -> None:
    assert alloc(make_arena((10, 10)), 2, max_address) == first_page


@pytest.mark.parametrize("nr_pages", [11, 1 << 52, (1 << 52) + 1, TOP])
def test_what_is_too_large_is_out_of_resources(nr_pages: int) -> None:
    start = ffi.new("u64 *", 5)
    status = lib.pk_arena_alloc(make_arena((10, 10)), LOADER, nr_pages, TOP, start)
    assert (status, start[0]) == (lib.EFI_OUT_OF_RESOURCES, 5)


@pytest.mark.parametrize("type_", [FREE, 14, 15, 16, 0x6FFFFFFF])
def test_types_that_nobody_can_allocate(type_: int) -> None:
    arena = make_arena((10, 10))
    assert lib.pk_arena_alloc(arena, type_, 1, TOP, ffi.new("u64 *")) == lib.EFI_INVALID_PARAMETER
    assert lib.pk_arena_alloc_at(arena, type_, 10 * PAGE, 1) == lib.EFI_INVALID_PARAMETER


@pytest.mark.parametrize("type_", [0, 5, 9, 13, 0x70000000, 0x80000000, 0xFFFFFFFF])
def test_types_that_can_be_allocated(type_: int) -> None:
    arena = make_arena((10, 10))
    assert lib.pk_arena_alloc_at(arena, type_, 12 * PAGE, 1) == lib.EFI_SUCCESS
    assert regions(arena) == [(10, 2, FREE), (12, 1, type_), (13, 7, FREE)]


@pytest.mark.parametrize(
    ("start", "nr_pages", "status"),
    [
        (10 * PAGE, 0, lib.EFI_INVALID_PARAMETER),
        (10 * PAGE + 8, 1, lib.EFI_INVALID_PARAMETER),
        (9 * PAGE, 1, lib.EFI_NOT_FOUND),
        (9 * PAGE, 2, lib.EFI_NOT_FOUND),
        (19 * PAGE, 2, lib.EFI_NOT_FOUND),
        (10 * PAGE, 1 << 52, lib.EFI_NOT_FOUND),
        (10 * PAGE, (1 << 52) + 1, lib.EFI_NOT_FOUND),
        (TOP - PAGE + 1, 1, lib.EFI_NOT_FOUND),
    ],
)
def test_pages_outside_can_neither_be_taken_nor_freed(
    start: int, nr_pages: int, status: int
) -> None:
    arena = make_arena((10, 10))
    assert lib.pk_arena_alloc_at(arena, LOADER, start, nr_pages) == status
    assert lib.pk_arena_alloc_at(arena, LOADER, 10 * PAGE, 10) == lib.EFI_SUCCESS
    assert lib.pk_arena_free(arena, start, nr_pages) == status
    assert regions(arena) == [(10, 10, LOADER)]


def test_free_pages_are_not_freed_again() -> None:
    arena = make_arena((10, 10))
    assert lib.pk_arena_alloc_at(arena, LOADER, 12 * PAGE, 4) == lib.EFI_SUCCESS
    assert lib.pk_arena_free(arena, 13 * PAGE, 1) == lib.EFI_SUCCESS
    assert lib.pk_arena_free(arena, 12 * PAGE, 4) == lib.EFI_NOT_FOUND
    assert regions(arena) == [
        (10, 2, FREE),
        (12, 1, LOADER),
        (13, 1, FREE),
        (14, 2, LOADER),
        (16, 4, FREE),
    ]


def test_one_free_spans_allocations_of_several_types() -> None:
    arena = make_arena((10, 10))
    for page in range(10, 20):
        assert lib.pk_arena_alloc_at(arena, page % 3, page * PAGE, 1) == lib.EFI_SUCCESS
    assert lib.pk_arena_free(arena, 10 * PAGE, 10) == lib.EFI_SUCCESS
    assert (regions(arena), arena.used_pages, arena.peak_pages) == ([(10, 10, FREE)], 0, 10)


def full_arena() -> CData:
    """Every second page allocated until the table is full."""
    arena = make_arena((0, 2 * lib.PK_ARENA_REGIONS_MAX))
    for page in range(0, lib.PK_ARENA_REGIONS_MAX, 2):
        assert lib.pk_arena_alloc_at(arena, LOADER, page * PAGE, 1) == lib.EFI_SUCCESS
    return arena


def test_a_full_table_refuses_but_still_frees() -> None:
    arena = full_arena()
    assert arena.nr_regions == lib.PK_ARENA_REGIONS_MAX
    before = regions(arena)
    inside = (lib.PK_ARENA_REGIONS_MAX + 10) * PAGE
    assert lib.pk_arena_alloc_at(arena, LOADER, inside, 1) == lib.EFI_OUT_OF_RESOURCES
    assert alloc(arena, 1) is None
    assert not lib.pk_arena_add(arena, 1 << 40, 1)
    assert regions(arena) == before
    assert lib.pk_arena_free(arena, 2 * PAGE, 1) == lib.EFI_SUCCESS
    assert regions(arena)[:2] == [(0, 1, LOADER), (1, 3, FREE)]


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        (10 * PAGE - 1, False),
        (10 * PAGE, True),
        (20 * PAGE - 1, True),
        (20 * PAGE, False),
        (31 * PAGE + 5, True),
        (0, False),
        (TOP, False),
    ],
)
def test_contains(address: int, inside: bool) -> None:
    arena = make_arena((10, 10), (30, 5))
    assert lib.pk_arena_alloc_at(arena, LOADER, 31 * PAGE, 1) == lib.EFI_SUCCESS
    assert lib.pk_arena_contains(arena, address) is inside


class Model:
    """Page number to type."""

    def __init__(self, *ranges: tuple[int, int]) -> None:
        self.pages = {page: int(FREE) for first, nr in ranges for page in range(first, first + nr)}

    def all(self, first: int, nr_pages: int, free: bool) -> bool:
        pages = range(first, first + nr_pages)
        return all(page in self.pages and (self.pages[page] == FREE) is free for page in pages)

    def highest(self, nr_pages: int, max_address: int) -> int | None:
        top = min((max_address + 1) // PAGE, max(self.pages) + 1) - nr_pages
        fits = (page for page in range(top, -1, -1) if self.all(page, nr_pages, free=True))
        return next(fits, None)

    def set(self, first: int, nr_pages: int, type_: int) -> None:
        self.pages |= dict.fromkeys(range(first, first + nr_pages), type_)

    def used(self) -> int:
        return sum(type_ != FREE for type_ in self.pages.values())

    def regions(self) -> list[Region]:
        runs = groupby(sorted(self.pages.items()), key=_RunKey())
        return [(run[0][0], len(run), run[0][1]) for run in (list(group) for _, group in runs)]


class _RunKey:
    """A new key whenever the page does not follow the last, or has another type."""

    def __init__(self) -> None:
        self.last = (-2, -1)
        self.run = 0

    def __call__(self, item: tuple[int, int]) -> int:
        self.run += item != (self.last[0] + 1, self.last[1])
        self.last = item
        return self.run


@pytest.mark.parametrize("seed", range(20))
def test_random_operations_agree_with_the_model(seed: int) -> None:
    rng = random.Random(seed)
    ranges = ((3, 20), (40, 30), (100, 1))
    arena, model, peak = make_arena(*ranges), Model(*ranges), 0
    for _ in range(300):
        generation = arena.generation
        first, nr_pages = rng.randrange(105), rng.randrange(1, 8)
        type_ = rng.choice([0, 1, 2, 9])
        match rng.choice(["alloc", "alloc_at", "free", "free"]):
            case "alloc":
                max_address = rng.choice([TOP, rng.randrange(105 * PAGE)])
                expected = model.highest(nr_pages, max_address)
                assert alloc(arena, nr_pages, max_address, type_) == expected
                done = expected is not None
                model.set(expected or 0, nr_pages if done else 0, type_)
            case "alloc_at":
                done = model.all(first, nr_pages, free=True)
                status = lib.pk_arena_alloc_at(arena, type_, first * PAGE, nr_pages)
                assert (status == lib.EFI_SUCCESS) is done
                model.set(first, nr_pages if done else 0, type_)
            case _:
                done = model.all(first, nr_pages, free=False)
                status = lib.pk_arena_free(arena, first * PAGE, nr_pages)
                assert (status == lib.EFI_SUCCESS) is done
                model.set(first, nr_pages if done else 0, FREE)
        peak = max(peak, model.used())
        assert regions(arena) == model.regions()
        assert (arena.used_pages, arena.peak_pages) == (model.used(), peak)
        assert (arena.generation != generation) is done
