// SPDX-License-Identifier: Apache-2.0
/* Sequences of arena operations against an array that holds the type of each page. */
#include <common/arena.h>

#include "fuzz.h"

enum { NR_PAGES = 1200, OUTSIDE = 0xff };

static u8 pages[NR_PAGES];

static bool all(u64 first, u64 nr, bool is_free)
{
	if (!nr || first >= NR_PAGES || nr > NR_PAGES - first)
		return false;
	for (u64 i = first; i < first + nr; i++)
		if (pages[i] == OUTSIDE || (pages[i] == EFI_CONVENTIONAL_MEMORY) != is_free)
			return false;
	return true;
}

static void check(const struct pk_arena *arena)
{
	u64 used = 0;
	u64 page = 0;

	FUZZ_CHECK(arena->nr_regions <= PK_ARENA_REGIONS_MAX);
	for (u32 i = 0; i < arena->nr_regions; i++) {
		const struct pk_region *region = &arena->regions[i];
		u64 first = region->start / PK_PAGE_SIZE;

		FUZZ_CHECK(region->nr_pages && first >= page);
		while (page < first)
			FUZZ_CHECK(pages[page++] == OUTSIDE);
		for (; page < first + region->nr_pages; page++)
			FUZZ_CHECK(pages[page] == region->type);
		if (i && region[-1].type == region->type)
			FUZZ_CHECK(region[-1].start + region[-1].nr_pages * PK_PAGE_SIZE < region->start);
		if (region->type != EFI_CONVENTIONAL_MEMORY)
			used += region->nr_pages;
	}
	while (page < NR_PAGES)
		FUZZ_CHECK(pages[page++] == OUTSIDE);
	FUZZ_CHECK(arena->used_pages == used && arena->peak_pages >= used);
}

static void step(struct pk_arena *arena, struct fuzz_input *input)
{
	u64 op = fuzz_take(input, 1);
	u64 first = fuzz_take(input, 2);
	u64 nr = op & 0x40 ? fuzz_take(input, 8) : fuzz_take(input, 1);
	u32 type = op >> 4 & 3;
	u64 start = op & 0x80 ? fuzz_take(input, 8) : first * PK_PAGE_SIZE;
	u64 generation = arena->generation;
	bool done = false;

	switch (op & 3) {
	case 0:
		/* What lies beyond the array is not modelled. */
		if (start / PK_PAGE_SIZE >= NR_PAGES || nr > NR_PAGES - start / PK_PAGE_SIZE)
			return;
		done = pk_arena_add(arena, start, nr);
		if (done)
			memset(pages + start / PK_PAGE_SIZE, EFI_CONVENTIONAL_MEMORY, nr);
		break;
	case 1:
		done = !pk_arena_alloc(arena, type, nr, start, &start);
		if (done) {
			FUZZ_CHECK(all(start / PK_PAGE_SIZE, nr, true));
			memset(pages + start / PK_PAGE_SIZE, type, nr);
		}
		break;
	case 2:
		done = !pk_arena_alloc_at(arena, type, start, nr);
		if (done) {
			FUZZ_CHECK(all(start / PK_PAGE_SIZE, nr, true));
			memset(pages + start / PK_PAGE_SIZE, type, nr);
		}
		break;
	case 3:
		done = !pk_arena_free(arena, start, nr);
		if (done) {
			FUZZ_CHECK(all(start / PK_PAGE_SIZE, nr, false));
			memset(pages + start / PK_PAGE_SIZE, EFI_CONVENTIONAL_MEMORY, nr);
		}
		break;
	}
	FUZZ_CHECK(done == (arena->generation != generation));
	FUZZ_CHECK(!done || !(start % PK_PAGE_SIZE));
	FUZZ_CHECK(pk_arena_contains(arena, start) ==
		   (start / PK_PAGE_SIZE < NR_PAGES && pages[start / PK_PAGE_SIZE] != OUTSIDE));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fuzz_input input = { data, size };
	struct pk_arena *arena = malloc(sizeof(*arena));

	FUZZ_CHECK(arena);
	memset(pages, OUTSIDE, sizeof(pages));
	pk_arena_init(arena);
	while (input.size) {
		step(arena, &input);
		check(arena);
	}
	free(arena);
	return 0;
}
