/* SPDX-License-Identifier: Apache-2.0 */
/* Page allocator over the few ranges that Linux owns; serves its AllocatePages. */
#ifndef PK_COMMON_ARENA_H
#define PK_COMMON_ARENA_H

#include <efi/types.h>
#include <pykexec/abi.h>

enum { PK_ARENA_REGIONS_MAX = 512 };

struct pk_region {
	u64 start;
	u64 nr_pages;
	u32 type;	/* enum efi_memory_type */
	u32 reserved;
};

/* Regions sorted by address, never overlapping, equal neighbours merged. */
struct pk_arena {
	struct pk_region regions[PK_ARENA_REGIONS_MAX];
	u32 nr_regions;
	u32 reserved;
	u64 generation;	/* changes with the map: serves as the map key */
	u64 used_pages;
	u64 peak_pages;
};

void pk_arena_init(struct pk_arena *arena);

/* Add nr_pages from start as free memory; false if unaligned, overlapping, wrapping or full. */
bool pk_arena_add(struct pk_arena *arena, u64 start, u64 nr_pages);

/*
 * The highest free pages ending at or below max (the last usable byte).
 * EFI_INVALID_PARAMETER: no pages, or a type that AllocatePages refuses (UEFI
 * 2.10, 7.2.1). EFI_OUT_OF_RESOURCES: no such pages, or no room in the table.
 */
efi_status_t pk_arena_alloc(struct pk_arena *arena, u32 type, u64 nr_pages, u64 max, u64 *ret_start);

/* As above; EFI_NOT_FOUND unless every page is free and inside the arena. */
efi_status_t pk_arena_alloc_at(struct pk_arena *arena, u32 type, u64 start, u64 nr_pages);

/*
 * EFI_NOT_FOUND unless every page is allocated and inside the arena;
 * EFI_INVALID_PARAMETER: unaligned or no pages.
 */
efi_status_t pk_arena_free(struct pk_arena *arena, u64 start, u64 nr_pages);

bool pk_arena_contains(const struct pk_arena *arena, u64 address);

#endif
