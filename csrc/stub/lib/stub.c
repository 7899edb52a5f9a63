// SPDX-License-Identifier: Apache-2.0
/* What every room of the stub knows: the firmware that called us, our own image, what we tell who comes after us. */
#include <stub/lib/stub.h>

struct efi_system_table *pk_st;
struct efi_boot_services *pk_bs;
efi_handle_t pk_image;
struct efi_loaded_image *pk_loaded_image;
struct pk_handoff pk_handoff __attribute__((aligned(PK_PAGE_SIZE)));

u64 pk_linux_memory_behind(u64 start)
{
	const struct pk_range *ranges[] = { &pk_handoff.arena, &pk_handoff.low };

	for (u32 i = 0; i < 2; i++)
		if (start >= ranges[i]->start && start - ranges[i]->start < ranges[i]->size)
			return ranges[i]->size - (start - ranges[i]->start);
	return 0;
}
