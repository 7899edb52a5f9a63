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
 * room for capacity bytes and uses the same step. Arena, stub and window are
 * cut out of whatever descriptors cover them; all other loader, boot services,
 * conventional, persistent and unaccepted memory becomes reserved (only its
 * cacheability is kept); runtime, ACPI and MMIO stay as they are; neighbours
 * that became equal are merged.
 *
 * EFI_SUCCESS with *ret_size used; EFI_BUFFER_TOO_SMALL with *ret_size needed;
 * EFI_INVALID_PARAMETER when step is below the descriptor's size or size is no
 * multiple of step. The output is sorted as the input, arena regions last.
 */
efi_status_t pk_memory_map_reduce(const void *map, u64 size, u64 step, const struct pk_map_view *view,
				  void *out, u64 capacity, u64 *ret_size);

#endif
