/* SPDX-License-Identifier: Apache-2.0 */
/* What Linux may see of the firmware's memory map. */
#ifndef PK_COMMON_MEMORY_MAP_H
#define PK_COMMON_MEMORY_MAP_H

#include <common/arena.h>

enum { PK_MAP_MMIO_MAX = 8 };

struct pk_map_view {
	const struct pk_arena *arena;	/* its regions appear as they are */
	struct pk_range stub;		/* appears as runtime services code, RUNTIME */
	struct pk_range window;		/* appears as conventional + EFI_MEMORY_SP; size 0: none */
	struct pk_range mmio[PK_MAP_MMIO_MAX];	/* one runtime MMIO descriptor each; size 0 ends the list */
};

/*
 * Reduce size bytes of descriptors at map, stepping by step, to out, which has
 * room for capacity bytes, uses the same step and does not overlap map. What the
 * view names is cut out of whatever descriptors cover it; all other loader, boot
 * services, conventional, persistent, unaccepted and unknown memory becomes
 * reserved (only its cacheability is kept); runtime, ACPI and MMIO stay as they
 * are; reserved neighbours are merged; empty and wrapping descriptors are dropped.
 *
 * EFI_SUCCESS with *ret_size used; EFI_BUFFER_TOO_SMALL with *ret_size needed
 * (out may be NULL when capacity is 0); EFI_INVALID_PARAMETER when step is below
 * the descriptor's size or above a page, size is no multiple of step, or the
 * view's ranges are not page aligned, wrap or overlap. The output is sorted as
 * the input, then stub, window, MMIO, arena regions; these have the cacheability
 * of the descriptor that covered them.
 */
efi_status_t pk_memory_map_reduce(const void *map, u64 size, u64 step, const struct pk_map_view *view,
				  void *out, u64 capacity, u64 *ret_size);

#endif
