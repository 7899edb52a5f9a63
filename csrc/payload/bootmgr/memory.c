// SPDX-License-Identifier: Apache-2.0
/* Step 2: the memory map, our heap at an address that we choose, and memory that nobody else may touch. */
#include <payload/bootmgr/bootmgr.h>

enum {
	HEAP_SIZE	= 16 * 1024 * 1024,
	DESCRIPTOR_MIN	= 40,
	DESCRIPTORS_MORE = 4,
};

#define PATTERN 0x5aa55aa5c33cc33cULL

static u64 heap_used;

efi_status_t wbm_read_map(struct wbm_map *map)
{
	map->size = map->capacity;
	return wbm_call(wbm.bs->get_memory_map, &map->size, map->data, &map->key, &map->step, &map->version);
}

const struct efi_memory_descriptor *wbm_descriptor(const struct wbm_map *map, u64 address)
{
	for (u64 at = 0; at < map->size; at += map->step) {
		const struct efi_memory_descriptor *each = (const void *)(map->data + at);
		u64 size = each->number_of_pages * WBM_PAGE;

		if (address >= each->physical_start && address - each->physical_start < size)
			return each;
	}
	return NULL;
}

static efi_status_t check_map(const struct wbm_map *map)
{
	wbm_need(map->version == 1);
	wbm_need(map->step >= DESCRIPTOR_MIN);
	wbm_need(map->size && map->size % map->step == 0);
	for (u64 at = 0; at < map->size; at += map->step) {
		const struct efi_memory_descriptor *each = (const void *)(map->data + at);
		u64 last = each->physical_start + each->number_of_pages * WBM_PAGE - 1;

		wbm_need(each->number_of_pages && last > each->physical_start);
		for (u64 other = 0; other < map->size; other += map->step) {
			const struct efi_memory_descriptor *found = (const void *)(map->data + other);

			wbm_need(found == each || last < found->physical_start ||
				 found->physical_start + found->number_of_pages * WBM_PAGE <= each->physical_start);
		}
	}
	wbm_fact("map", map->step, map->version);
	return EFI_SUCCESS;
}

/* Allocated anywhere to learn where there is room, freed, and taken there, rounded. */
static efi_status_t take_heap(void)
{
	u64 nr_pages = (HEAP_SIZE + WBM_LARGE_PAGE) / WBM_PAGE, address;

	wbm_try(wbm.bs->allocate_pages(EFI_ALLOCATE_ANY_PAGES, EFI_LOADER_DATA, nr_pages, &address));
	wbm_try(wbm.bs->free_pages(address, nr_pages));
	address = (address + WBM_LARGE_PAGE - 1) & ~(u64)(WBM_LARGE_PAGE - 1);
	wbm_try(wbm.bs->allocate_pages(EFI_ALLOCATE_ADDRESS, EFI_LOADER_DATA, HEAP_SIZE / WBM_PAGE, &address));
	wbm.heap = address;
	wbm.heap_size = HEAP_SIZE;
	wbm_place("heap", address);
	return EFI_SUCCESS;
}

/* What Linux had must be the operating system's again once boot services have ended. */
static efi_status_t check_arena(u64 arena)
{
	for (u64 page = arena; page < arena + WBM_ARENA_SIZE; page += WBM_PAGE) {
		const struct efi_memory_descriptor *found = wbm_descriptor(&wbm.map, page);

		wbm_need(found && (found->type == EFI_CONVENTIONAL_MEMORY ||
				   (found->type >= EFI_LOADER_CODE && found->type <= EFI_BOOT_SERVICES_DATA)));
		page = found->physical_start + (found->number_of_pages - 1) * WBM_PAGE;
	}
	return EFI_SUCCESS;
}

static efi_status_t ask_size(void)
{
	u64 size = 0, key, step, nr_pages, address;
	u32 version;

	wbm_need(wbm.bs->get_memory_map(&size, NULL, &key, &step, &version) == EFI_BUFFER_TOO_SMALL);
	wbm_need(size && step);
	nr_pages = (size + DESCRIPTORS_MORE * step + WBM_PAGE - 1) / WBM_PAGE + 1;
	wbm_try(wbm.bs->allocate_pages(EFI_ALLOCATE_ANY_PAGES, EFI_LOADER_DATA, nr_pages, &address));
	wbm.map = (struct wbm_map){ .data = (u8 *)address, .capacity = nr_pages * WBM_PAGE };
	return EFI_SUCCESS;
}

efi_status_t wbm_memory(void)
{
	u64 arena;

	wbm_try(ask_size());
	wbm_try(take_heap());
	wbm_try(wbm.bs->allocate_pages(EFI_ALLOCATE_ANY_PAGES, EFI_LOADER_DATA, WBM_ARENA_SIZE / WBM_PAGE,
				       &wbm.pattern));
	wbm_try(wbm_read_map(&wbm.map));
	wbm_try(check_map(&wbm.map));
	if (wbm_option_number("arena", &arena))
		wbm_try(check_arena(arena));
	wbm_fill_pattern();
	return EFI_SUCCESS;
}

void *wbm_allocate(u64 size)
{
	void *found = (void *)(WBM_HEAP_VIRTUAL + heap_used);

	size = (size + WBM_PAGE - 1) & ~(u64)(WBM_PAGE - 1);
	if (size > wbm.heap_size - heap_used)
		return NULL;
	heap_used += size;
	memset(found, 0, size);
	return found;
}

void wbm_fill_pattern(void)
{
	u64 *words = (u64 *)wbm.pattern;

	for (u64 i = 0; i < WBM_ARENA_SIZE / sizeof(u64); i++)
		words[i] = PATTERN;
}

bool wbm_pattern_is_intact(void)
{
	const u64 *words = (const u64 *)wbm.pattern;

	for (u64 i = 0; i < WBM_ARENA_SIZE / sizeof(u64); i++)
		if (words[i] != PATTERN) {
			wbm_place("spoilt", (u64)(words + i), words[i]);
			return false;
		}
	return true;
}
