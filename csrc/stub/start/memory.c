// SPDX-License-Identifier: Apache-2.0
/* Linux' memory: one arena taken from the firmware, and the services that hand it out. */
#include <common/arena.h>
#include <stub/gate/gate.h>
#include <stub/lib/console.h>
#include <stub/lib/string.h>
#include <stub/lib/stub.h>
#include <stub/services/memory_map.h>
#include <stub/start/attributes.h>
#include <stub/start/memory.h>

enum {
	MIB = 1024 * 1024,
	ARENA_STEP_MIB = 16,
	ARENA_MIN_MIB = PK_ARENA_MIN / MIB,
	ARENA_ALIGNMENT = 2 * MIB,
	/* The real-mode trampoline: up to 24 pages in [64 KiB, 640 KiB). */
	LOW_PAGES = 32,
	LOW_PAGES_MIN = 24,
	LOW_LIMIT = 0x9efff,
	POOL_HEADER = 64,		/* keeps the caller's 8-byte alignment, and a cache line */
};

/* What the arena took from the firmware, alignment slack included. */
static struct pk_range taken, taken_low;
static struct pk_attributes attributes, attributes_low;

static efi_status_t take(u64 mib)
{
	u64 nr_pages = (mib * MIB + ARENA_ALIGNMENT) / PK_PAGE_SIZE;
	u64 address = 0xffffffff;
	efi_status_t status;

	/*
	 * Code: executable where the firmware cannot be asked to make it so. Below 4 GiB if it
	 * fits, since kexec's purgatory likes it.
	 */
	status = pk_bs->allocate_pages(EFI_ALLOCATE_MAX_ADDRESS, EFI_LOADER_CODE, nr_pages, &address);
	if (EFI_ERROR(status))
		status = pk_bs->allocate_pages(EFI_ALLOCATE_ANY_PAGES, EFI_LOADER_CODE, nr_pages, &address);
	if (EFI_ERROR(status))
		return status;
	taken = (struct pk_range){ address, nr_pages * PK_PAGE_SIZE };
	address = (address + ARENA_ALIGNMENT - 1) & ~(u64)(ARENA_ALIGNMENT - 1);
	pk_handoff.arena = (struct pk_range){ address, mib * MIB };
	return EFI_SUCCESS;
}

static efi_status_t take_low(void)
{
	efi_status_t status = EFI_OUT_OF_RESOURCES;

	for (u64 nr_pages = LOW_PAGES; nr_pages >= LOW_PAGES_MIN; nr_pages -= 4) {
		u64 address = LOW_LIMIT;

		status = pk_bs->allocate_pages(EFI_ALLOCATE_MAX_ADDRESS, EFI_LOADER_CODE, nr_pages, &address);
		if (EFI_ERROR(status))
			continue;
		taken_low = (struct pk_range){ address, nr_pages * PK_PAGE_SIZE };
		pk_handoff.low = taken_low;
		return EFI_SUCCESS;
	}
	pk_print("pykexec: no %d KiB free below 640 KiB for Linux' trampoline\n", (u64)LOW_PAGES_MIN * 4);
	return status;
}

efi_status_t pk_arena_allocate(u64 mib)
{
	u64 wanted = mib < ARENA_MIN_MIB ? ARENA_MIN_MIB : mib;
	efi_status_t status = EFI_OUT_OF_RESOURCES;

	if (mib < wanted)
		pk_print("pykexec: arena of %d MiB instead of %d, which no kernel starts in\n", wanted, mib);
	for (mib = wanted; mib >= ARENA_MIN_MIB; mib -= ARENA_STEP_MIB) {
		status = take(mib);
		if (!EFI_ERROR(status))
			break;
	}
	if (EFI_ERROR(status)) {
		pk_print("pykexec: the firmware has no %d MiB of contiguous memory for Linux\n", (u64)ARENA_MIN_MIB);
		return status;
	}
	if (mib < wanted)
		pk_print("pykexec: arena of %d MiB instead of %d\n", mib, wanted);
	status = take_low();
	if (EFI_ERROR(status)) {
		pk_bs->free_pages(taken.start, taken.size / PK_PAGE_SIZE);
		taken = (struct pk_range){ 0, 0 };
		return status;
	}
	pk_attributes_init(&attributes, &taken);
	pk_attributes_init(&attributes_low, &taken_low);
	return EFI_SUCCESS;
}

static void close_arena(void)
{
	pk_attributes_close(&attributes);
	pk_attributes_close(&attributes_low);
}

void pk_arena_release(void)
{
	pk_memory_map_release();
	pk_attributes_restore(&attributes);
	pk_attributes_restore(&attributes_low);
	if (taken.size)
		pk_bs->free_pages(taken.start, taken.size / PK_PAGE_SIZE);
	if (taken_low.size)
		pk_bs->free_pages(taken_low.start, taken_low.size / PK_PAGE_SIZE);
	taken = (struct pk_range){ 0, 0 };
	taken_low = taken;
	/* Nobody is to wipe there any more. */
	pk_handoff.arena = taken;
	pk_handoff.low = taken;
}

efi_status_t pk_arena_reset(void)
{
	efi_status_t status;

	status = pk_attributes_open(&attributes);
	if (!EFI_ERROR(status))
		status = pk_attributes_open(&attributes_low);
	if (EFI_ERROR(status)) {
		pk_print("pykexec: the firmware does not let Linux' memory be executed\n");
		return status;
	}
	pk_gate_at_first(close_arena);
	pk_arena_init(&pk_linux_arena);
	pk_arena_add(&pk_linux_arena, pk_handoff.low.start, pk_handoff.low.size / PK_PAGE_SIZE);
	pk_arena_add(&pk_linux_arena, pk_handoff.arena.start, pk_handoff.arena.size / PK_PAGE_SIZE);
	return EFI_SUCCESS;
}

u64 pk_arena_map_key(void)
{
	return pk_linux_arena.generation;
}

efi_status_t pk_arena_pages(u32 type, u64 nr_pages, u64 *ret_start)
{
	return pk_arena_alloc(&pk_linux_arena, type, nr_pages, ~0ULL, ret_start);
}

static efi_status_t EFIAPI get_memory_map(u64 *size, void *map, u64 *key, u64 *step, u32 *version)
{
	u64 used = 0;
	efi_status_t status;

	status = pk_linux_memory_map(map, map ? *size : 0, &used, step, version);
	if (!EFI_ERROR(status) || status == EFI_BUFFER_TOO_SMALL)
		*size = used;
	if (key)
		*key = pk_linux_arena.generation;
	return status;
}

static efi_status_t EFIAPI allocate_pages(u32 type, u32 memory_type, u64 nr_pages, u64 *address)
{
	switch (type) {
	case EFI_ALLOCATE_ANY_PAGES:
		return pk_arena_alloc(&pk_linux_arena, memory_type, nr_pages, ~0ULL, address);
	case EFI_ALLOCATE_MAX_ADDRESS:
		return pk_arena_alloc(&pk_linux_arena, memory_type, nr_pages, *address, address);
	case EFI_ALLOCATE_ADDRESS:
		return pk_arena_alloc_at(&pk_linux_arena, memory_type, *address, nr_pages);
	default:
		return EFI_INVALID_PARAMETER;
	}
}

/* Memory that the firmware gave to Linux (handle buffers, say) goes back to the firmware. */
static efi_status_t EFIAPI free_pages(u64 address, u64 nr_pages)
{
	if (pk_arena_contains(&pk_linux_arena, address))
		return pk_arena_free(&pk_linux_arena, address, nr_pages);
	return pk_bs->free_pages(address, nr_pages);
}

static efi_status_t EFIAPI allocate_pool(u32 memory_type, u64 size, void **buffer)
{
	u64 nr_pages, address;
	efi_status_t status;

	if (size > taken.size)
		return EFI_OUT_OF_RESOURCES;
	nr_pages = (size + POOL_HEADER + PK_PAGE_SIZE - 1) / PK_PAGE_SIZE;
	status = pk_arena_alloc(&pk_linux_arena, memory_type, nr_pages, ~0ULL, &address);
	if (EFI_ERROR(status))
		return status;
	*(u64 *)address = nr_pages;
	*buffer = (void *)(address + POOL_HEADER);
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI free_pool(void *buffer)
{
	u64 address = (u64)buffer - POOL_HEADER;

	if (!pk_arena_contains(&pk_linux_arena, (u64)buffer))
		return pk_bs->free_pool(buffer);
	return pk_arena_free(&pk_linux_arena, address, *(u64 *)address);
}

/* Each has pages of its own. */
void *pk_arena_find_pool(const void *start, u64 size)
{
	for (u32 i = 0; i < pk_linux_arena.nr_regions; i++) {
		const struct pk_region *region = &pk_linux_arena.regions[i];
		u64 end = region->start + region->nr_pages * PK_PAGE_SIZE;

		if (region->type != EFI_LOADER_DATA)
			continue;
		for (u64 page = region->start; end - page >= POOL_HEADER + size; page += PK_PAGE_SIZE) {
			void *buffer = (void *)(page + POOL_HEADER);

			if (!memcmp(buffer, start, size))
				return buffer;
		}
	}
	return NULL;
}

void pk_arena_hook(struct efi_boot_services *services)
{
	services->allocate_pages = allocate_pages;
	services->free_pages = free_pages;
	services->get_memory_map = get_memory_map;
	services->allocate_pool = allocate_pool;
	services->free_pool = free_pool;
}
