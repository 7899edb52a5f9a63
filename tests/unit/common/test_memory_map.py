# SPDX-License-Identifier: Apache-2.0
"""What Linux sees of the firmware's memory map: exactly the arena, and nothing else is usable."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import pytest

from pykexec import abi
from pykexec._native import ffi, lib
from pykexec.abi import MemoryAttribute, MemoryType
from tests.support.samples import descriptor

if TYPE_CHECKING:
    from pykexec._native import CData

PAGE = lib.PK_PAGE_SIZE
STEP = 48
TOP = (1 << 64) - 1

RESERVED = MemoryType.RESERVED_MEMORY_TYPE
FREE = MemoryType.CONVENTIONAL_MEMORY
CODE = MemoryType.RUNTIME_SERVICES_CODE
MMIO = MemoryType.MEMORY_MAPPED_IO
NVS = MemoryType.ACPI_MEMORY_NVS
KEPT = {0, 5, 6, 8, 9, 10, 11, 12, 13}
# What Linux takes for its own after ExitBootServices.
USABLE = {1, 2, 3, 4, 7, 14, 15}

RUNTIME = MemoryAttribute.RUNTIME
SP = MemoryAttribute.SP


class Piece(NamedTuple):
    type: int
    first_page: int
    nr_pages: int
    attribute: int


class View:
    """A struct pk_map_view and the arena that it points to; ranges are (first page, pages)."""

    def __init__(
        self,
        *arena: tuple[int, int],
        stub: tuple[int, int] = (0, 0),
        window: tuple[int, int] = (0, 0),
        mmio: tuple[tuple[int, int], ...] = (),
    ) -> None:
        self.arena = ffi.new("struct pk_arena *")
        lib.pk_arena_init(self.arena)
        for first_page, nr_pages in arena:
            assert lib.pk_arena_add(self.arena, first_page * PAGE, nr_pages)
        self.cdata: CData = ffi.new("struct pk_map_view *")
        self.cdata.arena = self.arena
        for target, (first_page, nr_pages) in (
            (self.cdata.stub, stub),
            (self.cdata.window, window),
            *zip(self.cdata.mmio, mmio, strict=False),
        ):
            target.start, target.size = first_page * PAGE, nr_pages * PAGE


def reduce(view: View, *descriptors: bytes, step: int = STEP) -> list[Piece]:
    data = b"".join(descriptors)
    size = ffi.new("u64 *")
    status = lib.pk_memory_map_reduce(data, len(data), step, view.cdata, ffi.NULL, 0, size)
    assert status == (lib.EFI_BUFFER_TOO_SMALL if size[0] else lib.EFI_SUCCESS)
    out = ffi.new("u8[]", size[0])
    assert size[0] == len(out)
    status = lib.pk_memory_map_reduce(data, len(data), step, view.cdata, out, len(out), size)
    assert (status, size[0]) == (lib.EFI_SUCCESS, len(out))
    result = bytes(ffi.buffer(out))
    return [read_piece(result, offset) for offset in range(0, len(result), step)]


def read_piece(data: bytes, offset: int) -> Piece:
    found = abi.unpack("struct efi_memory_descriptor", data, offset)
    assert found.physical_start % PAGE == found.pad == 0
    first_page = found.physical_start // PAGE
    return Piece(found.type, first_page, found.number_of_pages, found.attribute)


def test_the_arena_is_cut_out_and_comes_last() -> None:
    assert reduce(View((20, 5)), descriptor(FREE, 0x1000, 99)) == [
        Piece(RESERVED, 1, 19, 0xF),
        Piece(RESERVED, 25, 75, 0xF),
        Piece(FREE, 20, 5, 0xF),
    ]


def test_stub_window_and_mmio_appear_as_what_they_are_for() -> None:
    view = View((2, 2), stub=(10, 5), window=(20, 16), mmio=((60, 1), (62, 1)))
    assert reduce(
        view, descriptor(1, 0, 50, 0xF), descriptor(MMIO, 55 * PAGE, 10, 1 | RUNTIME)
    ) == [
        Piece(RESERVED, 0, 2, 0xF),
        Piece(RESERVED, 4, 6, 0xF),
        Piece(RESERVED, 15, 5, 0xF),
        Piece(RESERVED, 36, 14, 0xF),
        Piece(MMIO, 55, 5, 1 | RUNTIME),
        Piece(MMIO, 61, 1, 1 | RUNTIME),
        Piece(MMIO, 63, 2, 1 | RUNTIME),
        Piece(CODE, 10, 5, 0xF | RUNTIME),
        Piece(FREE, 20, 16, 0xF | SP),
        Piece(MMIO, 60, 1, 1 | RUNTIME),
        Piece(MMIO, 62, 1, 1 | RUNTIME),
        Piece(FREE, 2, 2, 0xF),
    ]


def test_arena_regions_keep_their_types_though_they_touch() -> None:
    view = View((0, 10))
    assert lib.pk_arena_alloc_at(view.arena, RESERVED, 2 * PAGE, 1) == lib.EFI_SUCCESS
    assert lib.pk_arena_alloc_at(view.arena, 2, 3 * PAGE, 1) == lib.EFI_SUCCESS
    assert reduce(view, descriptor(1, 0, 10, 8), descriptor(0, 10 * PAGE, 1, 8)) == [
        Piece(RESERVED, 10, 1, 8),
        Piece(FREE, 0, 2, 8),
        Piece(RESERVED, 2, 1, 8),
        Piece(2, 3, 1, 8),
        Piece(FREE, 4, 6, 8),
    ]


@pytest.mark.parametrize("type_", [*range(20), 0x6FFFFFFF, 0x70000000, 0x80000000, 0xFFFFFFFF])
def test_only_runtime_acpi_and_mmio_keep_their_types(type_: int) -> None:
    attribute = 0x1F | 0x4000 | SP | RUNTIME
    expected = (type_, attribute) if type_ in KEPT else (RESERVED, 0x1F)
    (piece,) = reduce(View(), descriptor(type_, PAGE, 1, attribute))
    assert (piece.type, piece.attribute) == expected


def test_neighbours_that_became_equal_are_merged_and_runtime_ones_not() -> None:
    assert reduce(
        View(),
        *(
            descriptor(type_, (index + 1) * PAGE, 1)
            for index, type_ in enumerate([1, 7, 0, 4, 5, 5])
        ),
        descriptor(7, 7 * PAGE, 1, 1),
        descriptor(7, 9 * PAGE, 1, 1),
    ) == [
        Piece(RESERVED, 1, 4, 0xF),
        Piece(CODE, 5, 1, 0xF),
        Piece(CODE, 6, 1, 0xF),
        Piece(RESERVED, 7, 1, 1),
        Piece(RESERVED, 9, 1, 1),
    ]


def test_a_cut_spans_descriptors_and_swallows_small_ones() -> None:
    pieces = reduce(
        View((5, 10)),
        *(
            descriptor(type_, page * PAGE, 4)
            for type_, page in ((FREE, 2), (CODE, 6), (NVS, 10), (4, 14))
        ),
    )
    assert pieces == [
        Piece(RESERVED, 2, 3, 0xF),
        Piece(RESERVED, 15, 3, 0xF),
        Piece(FREE, 5, 10, 0xF),
    ]


def test_the_arena_is_shown_where_the_firmware_has_no_descriptor_at_all() -> None:
    assert reduce(View((5, 10), stub=(100, 1))) == [
        Piece(CODE, 100, 1, MemoryAttribute.WB | RUNTIME),
        Piece(FREE, 5, 10, MemoryAttribute.WB),
    ]


@pytest.mark.parametrize(
    ("start", "nr_pages"),
    [(PAGE, 0), (PAGE, 1 << 52), (PAGE, TOP), (TOP - PAGE + 1, 1), (TOP - PAGE + 1, 2), (TOP, 1)],
)
def test_empty_and_wrapping_descriptors_are_dropped(start: int, nr_pages: int) -> None:
    assert reduce(View(), descriptor(NVS, start, nr_pages), descriptor(NVS, 0, 1)) == [
        Piece(NVS, 0, 1, 0xF)
    ]


def test_an_unaligned_descriptor_is_rounded_out() -> None:
    assert reduce(View((1, 1)), descriptor(FREE, PAGE + 5, 2)) == [
        Piece(RESERVED, 2, 2, 0xF),
        Piece(FREE, 1, 1, 0xF),
    ]


@pytest.mark.parametrize("step", [40, 48, 56, 4096])
def test_the_output_steps_as_the_input(step: int) -> None:
    wide = descriptor(FREE, 0, 3, step=40).ljust(step, b"\xff")
    assert reduce(View((1, 1)), wide, step=step) == [
        Piece(RESERVED, 0, 1, 0xF),
        Piece(RESERVED, 2, 1, 0xF),
        Piece(FREE, 1, 1, 0xF),
    ]


@pytest.mark.parametrize(
    ("size", "step"),
    [(0, 0), (39, 39), (96, 39), (47, 48), (49, 48), (4097, 4097), (1 << 63, 1 << 63)],
)
def test_steps_and_sizes_that_cannot_be(size: int, step: int) -> None:
    result = ffi.new("u64 *", 5)
    status = lib.pk_memory_map_reduce(bytes(96), size, step, View().cdata, ffi.NULL, 0, result)
    assert (status, result[0]) == (lib.EFI_INVALID_PARAMETER, 5)


def spoil(view: View, name: str, start: int, size: int) -> View:
    target = getattr(view.cdata, name)
    target.start, target.size = start, size
    return view


@pytest.mark.parametrize(
    "view",
    [
        View((10, 10), stub=(15, 1)),
        View((10, 10), stub=(5, 6)),
        View((10, 10), window=(0, 100)),
        View(stub=(10, 10), window=(19, 1)),
        View(stub=(10, 10), mmio=((30, 1), (10, 1))),
        View((10, 10), mmio=((10, 1),)),
        spoil(View(), "stub", PAGE + 1, PAGE),
        spoil(View(), "stub", PAGE, PAGE + 1),
        spoil(View(), "window", PAGE, TOP - PAGE + 1),
        spoil(View(), "window", TOP - PAGE + 1, PAGE),
    ],
)
def test_a_view_that_shows_a_page_twice_is_refused(view: View) -> None:
    result = ffi.new("u64 *", 5)
    status = lib.pk_memory_map_reduce(b"", 0, STEP, view.cdata, ffi.NULL, 0, result)
    assert (status, result[0]) == (lib.EFI_INVALID_PARAMETER, 5)


def test_a_buffer_that_is_too_small_is_not_overrun() -> None:
    data = descriptor(FREE, 0, 10)
    out = ffi.new("u8[]", b"\xee" * 4 * STEP)
    size = ffi.new("u64 *")
    capacity = 3 * STEP - 1
    status = lib.pk_memory_map_reduce(data, STEP, STEP, View((4, 2)).cdata, out, capacity, size)
    assert (status, size[0]) == (lib.EFI_BUFFER_TOO_SMALL, 3 * STEP)
    assert bytes(ffi.buffer(out))[2 * STEP : 4 * STEP] == b"\xee" * 2 * STEP


def types_by_page(pieces: list[Piece]) -> dict[int, list[Piece]]:
    pages: dict[int, list[Piece]] = {}
    for piece in pieces:
        for page in range(piece.first_page, piece.first_page + piece.nr_pages):
            pages.setdefault(page, []).append(piece)
    return pages


def random_view(rng: random.Random) -> View:
    cuts = sorted(rng.sample(range(256), 12))
    spans = [(cuts[i], cuts[i + 1] - cuts[i]) for i in range(0, 12, 2)]
    rng.shuffle(spans)
    view = View(*spans[:3], stub=spans[3], window=spans[4], mmio=(spans[5],))
    for _ in range(rng.randrange(10)):
        # Where it does not fit it changes nothing.
        type_, page, nr_pages = rng.randrange(7), rng.randrange(256), rng.randrange(1, 5)
        lib.pk_arena_alloc_at(view.arena, type_, page * PAGE, nr_pages)
    return view


def shown_by_view(view: View) -> dict[int, list[Piece]]:
    return types_by_page([piece._replace(attribute=0) for piece in reduce(view)])


@pytest.mark.parametrize("seed", range(50))
def test_a_random_map_is_covered_and_nothing_of_the_firmware_is_usable(seed: int) -> None:
    rng = random.Random(seed)
    view = random_view(rng)
    edges = sorted(rng.sample(range(257), 20))
    descriptors = [
        Piece(rng.randrange(18), first, end - first, 0xF) for first, end in pairwise(edges)
    ]
    data = [descriptor(p.type, p.first_page * PAGE, p.nr_pages, p.attribute) for p in descriptors]
    before, view_pages = types_by_page(descriptors), shown_by_view(view)
    after = types_by_page(reduce(view, *data))

    assert after.keys() == before.keys() | view_pages.keys()
    for page, pieces in after.items():
        (piece,) = pieces
        if page in view_pages:
            assert piece.type == view_pages[page][0].type
        else:
            original = before[page][0].type
            assert piece.type == (original if original in KEPT else RESERVED)


@pytest.mark.parametrize("seed", range(50))
def test_hostile_overlapping_maps_make_nothing_usable(seed: int) -> None:
    rng = random.Random(1000 + seed)
    view = random_view(rng)
    data = [
        descriptor(
            rng.randrange(18), rng.randrange(256 * PAGE), rng.randrange(100), rng.getrandbits(64)
        )
        for _ in range(40)
    ]
    view_pages = shown_by_view(view)
    after = types_by_page(reduce(view, *data))
    for page, pieces in after.items():
        if page in view_pages:
            assert [piece.type for piece in pieces] == [view_pages[page][0].type]
        else:
            assert not USABLE & {piece.type for piece in pieces}
    assert view_pages.keys() <= after.keys()
