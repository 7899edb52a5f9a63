// SPDX-License-Identifier: Apache-2.0
/* Any firmware map and any view: the arena is shown exactly, and nothing else is usable. */
#include <common/memory_map.h>

#include "fuzz.h"

static struct pk_range take_range(struct fuzz_input *input)
{
	u64 start = fuzz_take(input, 2) * PK_PAGE_SIZE;

	return (struct pk_range){ start, fuzz_take(input, 1) * PK_PAGE_SIZE };
}

static void take_view(struct fuzz_input *input, struct pk_arena *arena, struct pk_map_view *view)
{
	u64 nr = fuzz_take(input, 1) % 16;

	pk_arena_init(arena);
	for (u64 i = 0; i < nr; i++) {
		struct pk_range range = take_range(input);

		if (i % 2)
			pk_arena_alloc_at(arena, i % 7, range.start, range.size / PK_PAGE_SIZE);
		else
			pk_arena_add(arena, range.start, range.size / PK_PAGE_SIZE);
	}
	memset(view, 0, sizeof(*view));
	view->arena = arena;
	view->stub = take_range(input);
	view->window = take_range(input);
	nr = fuzz_take(input, 1) % (PK_MAP_MMIO_MAX + 1);
	for (u64 i = 0; i < nr; i++)
		view->mmio[i] = take_range(input);
	/* Now and then something that no stub would ask for. */
	if (fuzz_take(input, 1) == 1)
		view->stub.start = fuzz_take(input, 8);
	if (fuzz_take(input, 1) == 1)
		view->window.size = fuzz_take(input, 8);
}

static bool usable(u32 type)
{
	switch (type) {
	case EFI_LOADER_CODE:
	case EFI_LOADER_DATA:
	case EFI_BOOT_SERVICES_CODE:
	case EFI_BOOT_SERVICES_DATA:
	case EFI_CONVENTIONAL_MEMORY:
	case EFI_PERSISTENT_MEMORY:
	case EFI_UNACCEPTED_MEMORY_TYPE:
		return true;
	default:
		return false;
	}
}

static bool overlaps(const struct efi_memory_descriptor *descriptor, u64 start, u64 size)
{
	u64 end = descriptor->physical_start + descriptor->number_of_pages * PK_PAGE_SIZE;

	return size && start < end && descriptor->physical_start < start + size;
}

static bool is_range(const struct efi_memory_descriptor *descriptor, const struct pk_range *range)
{
	return descriptor->physical_start == range->start &&
	       descriptor->number_of_pages * PK_PAGE_SIZE == range->size;
}

static void check_firmware(const struct efi_memory_descriptor *descriptor, const struct pk_map_view *view)
{
	FUZZ_CHECK(descriptor->number_of_pages && !(descriptor->physical_start % PK_PAGE_SIZE));
	for (u32 i = 0; i < view->arena->nr_regions; i++) {
		const struct pk_region *region = &view->arena->regions[i];

		FUZZ_CHECK(!overlaps(descriptor, region->start, region->nr_pages * PK_PAGE_SIZE));
	}
	if (overlaps(descriptor, view->stub.start, view->stub.size))
		FUZZ_CHECK(is_range(descriptor, &view->stub) && descriptor->type == EFI_RUNTIME_SERVICES_CODE &&
			   descriptor->attribute & EFI_MEMORY_RUNTIME);
	if (overlaps(descriptor, view->window.start, view->window.size))
		FUZZ_CHECK(is_range(descriptor, &view->window) && descriptor->attribute & EFI_MEMORY_SP);
	else
		FUZZ_CHECK(!usable(descriptor->type));
}

static void check_region(const struct efi_memory_descriptor *descriptor, const struct pk_region *region)
{
	FUZZ_CHECK(descriptor->physical_start == region->start);
	FUZZ_CHECK(descriptor->number_of_pages == region->nr_pages);
	FUZZ_CHECK(descriptor->type == region->type);
}

static void check(const u8 *out, u64 size, u64 step, const struct pk_map_view *view)
{
	u64 nr = size / step;
	u64 nr_firmware = nr - view->arena->nr_regions;

	FUZZ_CHECK(size % step == 0 && nr >= view->arena->nr_regions);
	for (u64 i = 0; i < nr; i++) {
		struct efi_memory_descriptor descriptor;

		memcpy(&descriptor, out + i * step, sizeof(descriptor));
		if (i < nr_firmware)
			check_firmware(&descriptor, view);
		else
			check_region(&descriptor, &view->arena->regions[i - nr_firmware]);
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fuzz_input input = { data, size };
	struct pk_arena *arena = malloc(sizeof(*arena));
	struct pk_map_view view;
	u64 needed, short_size, step;
	efi_status_t status;
	u8 *map, *out;

	FUZZ_CHECK(arena);
	step = fuzz_take(&input, 1);
	take_view(&input, arena, &view);
	map = fuzz_copy(input.data, input.size);

	status = pk_memory_map_reduce(map, input.size, step, &view, NULL, 0, &needed);
	if (status == EFI_SUCCESS)
		FUZZ_CHECK(!needed);
	if (status == EFI_BUFFER_TOO_SMALL) {
		out = malloc(needed);
		FUZZ_CHECK(out && needed);
		FUZZ_CHECK(!pk_memory_map_reduce(map, input.size, step, &view, out, needed, &short_size));
		FUZZ_CHECK(short_size == needed);
		check(out, needed, step, &view);
		free(out);

		out = malloc(needed - 1);
		FUZZ_CHECK(out || needed == 1);
		FUZZ_CHECK(pk_memory_map_reduce(map, input.size, step, &view, out, needed - 1, &short_size) ==
			   EFI_BUFFER_TOO_SMALL);
		free(out);
	}
	free(map);
	free(arena);
	return 0;
}
