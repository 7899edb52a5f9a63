// SPDX-License-Identifier: Apache-2.0
/*
 * Page allocator over a sorted table of regions. Equal neighbours are always
 * merged, so the table depends on nothing but the type of each page.
 */
#include <common/arena.h>
#include <common/mem.h>

/* A page-aligned, non-empty interval whose end does not wrap. */
static bool well_formed(u64 start, u64 nr_pages)
{
	return !(start % PK_PAGE_SIZE) && nr_pages && nr_pages <= (UINT64_MAX - start) / PK_PAGE_SIZE;
}

/* UEFI 2.10, 7.2.1: what AllocatePages refuses. */
static bool allocatable(u32 type)
{
	const u32 first_vendor_type = 0x70000000;

	if (type == EFI_CONVENTIONAL_MEMORY || type == EFI_PERSISTENT_MEMORY)
		return false;
	return type < EFI_UNACCEPTED_MEMORY_TYPE || type >= first_vendor_type;
}

static u64 region_end(const struct pk_region *region)
{
	return region->start + region->nr_pages * PK_PAGE_SIZE;
}

/* Index of the first region that ends after address; nr_regions if there is none. */
static u32 find(const struct pk_arena *arena, u64 address)
{
	u32 i = 0;

	while (i < arena->nr_regions && region_end(&arena->regions[i]) <= address)
		i++;
	return i;
}

/* Move the regions from index on by one; the caller saw to it that there is room. */
static void insert(struct pk_arena *arena, u32 index, struct pk_region region)
{
	for (u32 i = arena->nr_regions; i > index; i--)
		arena->regions[i] = arena->regions[i - 1];
	arena->regions[index] = region;
	arena->nr_regions++;
}

/* Make address, which lies inside the region at index, the start of the region at index + 1. */
static void split(struct pk_arena *arena, u32 index, u64 address)
{
	struct pk_region tail = arena->regions[index];

	tail.nr_pages = (region_end(&tail) - address) / PK_PAGE_SIZE;
	tail.start = address;
	arena->regions[index].nr_pages -= tail.nr_pages;
	insert(arena, index + 1, tail);
}

static void merge(struct pk_arena *arena)
{
	u32 kept = 0;

	for (u32 i = 1; i < arena->nr_regions; i++) {
		struct pk_region *last = &arena->regions[kept];
		const struct pk_region *next = &arena->regions[i];

		if (region_end(last) == next->start && last->type == next->type)
			last->nr_pages += next->nr_pages;
		else
			arena->regions[++kept] = *next;
	}
	if (arena->nr_regions)
		arena->nr_regions = kept + 1;
}

/* Is every page of [start, end) inside the arena, and free or not, as asked? */
static bool all_pages(const struct pk_arena *arena, u64 start, u64 end, bool is_free)
{
	for (u32 i = find(arena, start); i < arena->nr_regions; i++) {
		const struct pk_region *region = &arena->regions[i];

		if (region->start > start || (region->type == EFI_CONVENTIONAL_MEMORY) != is_free)
			return false;
		start = region_end(region);
		if (start >= end)
			return true;
	}
	return false;
}

/* Give the pages of [start, end), which are inside, a type. False: no room to split. */
static bool set_type(struct pk_arena *arena, u64 start, u64 end, u32 type)
{
	u32 first = find(arena, start);
	u32 last = find(arena, end - 1);
	bool cut_first = arena->regions[first].start < start;
	bool cut_last = region_end(&arena->regions[last]) > end;

	if (arena->nr_regions + cut_first + cut_last > PK_ARENA_REGIONS_MAX)
		return false;
	if (cut_last)
		split(arena, last, end);
	if (cut_first) {
		split(arena, first, start);
		first++;
		last++;
	}
	for (u32 i = first; i <= last; i++)
		arena->regions[i].type = type;
	merge(arena);
	arena->generation++;
	return true;
}

static efi_status_t take(struct pk_arena *arena, u32 type, u64 start, u64 nr_pages)
{
	if (!set_type(arena, start, start + nr_pages * PK_PAGE_SIZE, type))
		return EFI_OUT_OF_RESOURCES;
	arena->used_pages += nr_pages;
	if (arena->used_pages > arena->peak_pages)
		arena->peak_pages = arena->used_pages;
	return EFI_SUCCESS;
}

void pk_arena_init(struct pk_arena *arena)
{
	memset(arena, 0, sizeof(*arena));
	arena->generation = 1;
}

bool pk_arena_add(struct pk_arena *arena, u64 start, u64 nr_pages)
{
	struct pk_region region = { start, nr_pages, EFI_CONVENTIONAL_MEMORY, 0 };
	u32 index;

	if (!well_formed(start, nr_pages) || arena->nr_regions == PK_ARENA_REGIONS_MAX)
		return false;
	index = find(arena, start);
	if (index < arena->nr_regions && arena->regions[index].start < region_end(&region))
		return false;
	insert(arena, index, region);
	merge(arena);
	arena->generation++;
	return true;
}

efi_status_t pk_arena_alloc(struct pk_arena *arena, u32 type, u64 nr_pages, u64 max, u64 *ret_start)
{
	if (!allocatable(type) || !nr_pages)
		return EFI_INVALID_PARAMETER;

	for (u32 i = arena->nr_regions; i > 0; i--) {
		const struct pk_region *region = &arena->regions[i - 1];
		u64 end = region_end(region);
		efi_status_t status;
		u64 start;

		if (region->type != EFI_CONVENTIONAL_MEMORY)
			continue;
		if (end - 1 > max)
			end = (max + 1) / PK_PAGE_SIZE * PK_PAGE_SIZE;
		if (end <= region->start || (end - region->start) / PK_PAGE_SIZE < nr_pages)
			continue;

		start = end - nr_pages * PK_PAGE_SIZE;
		status = take(arena, type, start, nr_pages);
		if (!EFI_ERROR(status))
			*ret_start = start;
		return status;
	}
	return EFI_OUT_OF_RESOURCES;
}

efi_status_t pk_arena_alloc_at(struct pk_arena *arena, u32 type, u64 start, u64 nr_pages)
{
	if (!allocatable(type) || !nr_pages || start % PK_PAGE_SIZE)
		return EFI_INVALID_PARAMETER;
	if (!well_formed(start, nr_pages) ||
	    !all_pages(arena, start, start + nr_pages * PK_PAGE_SIZE, true))
		return EFI_NOT_FOUND;
	return take(arena, type, start, nr_pages);
}

efi_status_t pk_arena_free(struct pk_arena *arena, u64 start, u64 nr_pages)
{
	u64 end = start + nr_pages * PK_PAGE_SIZE;

	if (!nr_pages || start % PK_PAGE_SIZE)
		return EFI_INVALID_PARAMETER;
	if (!well_formed(start, nr_pages) || !all_pages(arena, start, end, false))
		return EFI_NOT_FOUND;
	if (!set_type(arena, start, end, EFI_CONVENTIONAL_MEMORY))
		return EFI_OUT_OF_RESOURCES;
	arena->used_pages -= nr_pages;
	return EFI_SUCCESS;
}

bool pk_arena_contains(const struct pk_arena *arena, u64 address)
{
	u32 i = find(arena, address);

	return i < arena->nr_regions && arena->regions[i].start <= address;
}
