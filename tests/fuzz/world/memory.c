// SPDX-License-Identifier: Apache-2.0
/* The world's memory: pages and pools, each a piece of its own for AddressSanitizer. */
#include <sanitizer/asan_interface.h>

#include "../fuzz.h"
#include "devices.h"

enum {
	NR_ALLOCATIONS = 256,
	PAGE = 4096,
	LARGE = 1024 * 1024,
	NR_KEPT = 4,
};

static struct {
	void *start;
	u64 size;
} allocations[NR_ALLOCATIONS];

bool world_owns(u64 address, u64 size)
{
	for (u32 i = 0; i < NR_ALLOCATIONS; i++) {
		u64 start = (u64)allocations[i].start;

		if (start && address >= start && address - start <= allocations[i].size &&
		    size <= allocations[i].size - (address - start))
			return true;
	}
	return false;
}

/* Large pieces are kept from one input to the next: having them from the system takes longer than all the rest. */
static struct {
	void *start;
	u64 size;
	bool taken;
} kept[NR_KEPT];

static void *take_kept(u64 size)
{
	for (u32 i = 0; i < NR_KEPT; i++) {
		if (kept[i].taken || (kept[i].start && kept[i].size != size))
			continue;
		if (!kept[i].start && posix_memalign(&kept[i].start, PAGE, size))
			return kept[i].start = NULL;
		ASAN_UNPOISON_MEMORY_REGION(kept[i].start, size);
		kept[i].size = size;
		kept[i].taken = true;
		return kept[i].start;
	}
	return NULL;
}

static void release(void *start)
{
	for (u32 i = 0; i < NR_KEPT; i++)
		if (kept[i].taken && kept[i].start == start) {
			kept[i].taken = false;
			ASAN_POISON_MEMORY_REGION(start, kept[i].size);
			return;
		}
	free(start);
}

void *memory_take(u64 size, u64 alignment)
{
	for (u32 i = 0; i < NR_ALLOCATIONS; i++) {
		if (allocations[i].start)
			continue;
		if (size >= LARGE)
			allocations[i].start = take_kept(size);
		else if (posix_memalign(&allocations[i].start, alignment, size ? size : 1))
			allocations[i].start = NULL;
		allocations[i].size = size;
		return allocations[i].start;
	}
	return NULL;
}

void memory_give(void *start)
{
	for (u32 i = 0; i < NR_ALLOCATIONS; i++)
		if (allocations[i].start == start) {
			release(start);
			allocations[i].start = NULL;
			return;
		}
	FUZZ_CHECK(!"freed what was not allocated");
}

static efi_status_t EFIAPI allocate_pages(u32 type, u32 memory_type, u64 nr_pages, u64 *address)
{
	void *start = nr_pages < 65536 ? memory_take(nr_pages * PAGE, PAGE) : NULL;

	(void)type;
	(void)memory_type;
	world_returns();
	if (!start)
		return EFI_OUT_OF_RESOURCES;
	*address = (u64)start;
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI free_pages(u64 address, u64 nr_pages)
{
	(void)nr_pages;
	memory_give((void *)address);
	world_returns();
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI allocate_pool(u32 memory_type, u64 size, void **buffer)
{
	(void)memory_type;
	*buffer = memory_take(size, 8);
	return *buffer ? EFI_SUCCESS : EFI_OUT_OF_RESOURCES;
}

static efi_status_t EFIAPI free_pool(void *buffer)
{
	memory_give(buffer);
	world_returns();
	return EFI_SUCCESS;
}

void memory_fill(struct efi_boot_services *boot)
{
	boot->allocate_pages = allocate_pages;
	boot->free_pages = free_pages;
	boot->allocate_pool = allocate_pool;
	boot->free_pool = free_pool;
}

void world_end(void)
{
	for (u32 i = 0; i < NR_ALLOCATIONS; i++)
		if (allocations[i].start) {
			release(allocations[i].start);
			allocations[i].start = NULL;
		}
}
