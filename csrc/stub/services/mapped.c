// SPDX-License-Identifier: Apache-2.0
/* What the firmware itself can read, by its own page tables. */
#include <common/page_table.h>
#include <stub/lib/cpu.h>
#include <stub/services/mapped.h>

/* Tables lie in the firmware's memory, which is mapped where it is (UEFI 2.10, 2.3.4). */
static const u64 *read_table(void *context, u64 address)
{
	(void)context;
	return (const u64 *)address;
}

u64 pk_mapped_bytes(u64 address, u64 limit)
{
	u32 levels = pk_cpu_read(PK_CPU_CR4) & PK_CR4_LA57 ? PK_FIVE_LEVELS : PK_FOUR_LEVELS;
	u64 root = pk_cpu_read(PK_CPU_CR3), at = address, physical, entry, size;

	while (at - address < limit) {
		if (!pk_page_table_walk(root, levels, at, read_table, 0, &physical, &entry, &size) || physical != at)
			break;
		at += size - at % size;
	}
	return at - address < limit ? at - address : limit;
}
