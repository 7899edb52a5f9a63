// SPDX-License-Identifier: Apache-2.0
/* What every room of the stub knows: the firmware that called us, our own image, what we tell who comes after us. */
#include <stub/lib/stub.h>

struct efi_system_table *pk_st;
struct efi_boot_services *pk_bs;
efi_handle_t pk_image;
struct efi_loaded_image *pk_loaded_image;
struct pk_handoff pk_handoff __attribute__((aligned(PK_PAGE_SIZE)));

bool pk_window_is_shared;

u64 pk_linux_memory_behind(u64 start)
{
	const struct pk_range *ranges[] = { &pk_handoff.arena, &pk_handoff.low, &pk_handoff.window };
	u32 nr_ranges = pk_window_is_shared ? 2 : 3;
	u64 end = start;

	/* From one to the next, should they touch: for each there may be one behind it. */
	for (u32 tries = 0; tries < nr_ranges; tries++)
		for (u32 i = 0; i < nr_ranges; i++)
			if (end >= ranges[i]->start && end - ranges[i]->start < ranges[i]->size)
				end = ranges[i]->start + ranges[i]->size;
	return end - start;
}
