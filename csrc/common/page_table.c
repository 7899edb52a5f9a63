// SPDX-License-Identifier: Apache-2.0
/* x86-64 four-level page tables (Intel SDM volume 3, 4.5). */
#include <common/mem.h>
#include <common/page_table.h>
#include <pykexec/abi.h>

enum {
	PK_TABLE_ENTRIES	= 512,
	PK_PAGE_SHIFT		= 12,
	PK_LEVEL_SHIFT		= 9,
	PK_SHIFT_2M		= 21,
	PK_SHIFT_1G		= 30,
	PK_SHIFT_512G		= 39,
	PK_VIRTUAL_BITS		= 48,
};

static const u64 address_mask = 0x000ffffffffff000;

static u64 index_of(u64 address, int shift)
{
	return (address >> shift) % PK_TABLE_ENTRIES;
}

static u64 *table_at(u64 address)
{
	return (u64 *)(uintptr_t)address;
}

/* A zeroed page from the pool, 0 when it is exhausted. */
static u64 new_page(struct pk_page_table *table)
{
	u64 page = table->pool + table->used;

	if (table->pool_size - table->used < PK_PAGE_SIZE)
		return 0;
	memset(table_at(page), 0, PK_PAGE_SIZE);
	table->used += PK_PAGE_SIZE;
	return page;
}

/* The table below entry, made when there is none yet; 0 when the pool is exhausted. */
static u64 descend(struct pk_page_table *table, u64 *entry)
{
	u64 page;

	if (*entry & PK_PTE_PRESENT)
		return *entry & address_mask;
	page = new_page(table);
	if (page)
		*entry = page | PK_PTE_PRESENT | PK_PTE_WRITE;
	return page;
}

bool pk_page_table_init(struct pk_page_table *table, u64 pool, u64 pool_size)
{
	struct pk_page_table fresh = { pool, pool_size, 0 };

	if (!pool || pool % PK_PAGE_SIZE || pool_size > UINT64_MAX - pool || !new_page(&fresh))
		return false;
	*table = fresh;
	return true;
}

bool pk_page_table_map(struct pk_page_table *table, u64 start, u64 end)
{
	const u64 page_size = 1ULL << PK_SHIFT_2M;

	if (start > end || end > 1ULL << (PK_VIRTUAL_BITS - 1))
		return false;

	for (u64 page = start & ~(page_size - 1); page < end && start < end; page += page_size) {
		u64 directories, directory;

		directories = descend(table, table_at(table->pool) + index_of(page, PK_SHIFT_512G));
		if (!directories)
			return false;
		directory = descend(table, table_at(directories) + index_of(page, PK_SHIFT_1G));
		if (!directory)
			return false;
		table_at(directory)[index_of(page, PK_SHIFT_2M)] =
			page | PK_PTE_PRESENT | PK_PTE_WRITE | PK_PTE_HUGE;
	}
	return true;
}

static bool canonical(u64 address)
{
	u64 upper = address >> (PK_VIRTUAL_BITS - 1);

	return !upper || upper == UINT64_MAX >> (PK_VIRTUAL_BITS - 1);
}

bool pk_page_table_walk(u64 root, u64 virt, pk_table_reader_t read, void *context, u64 *ret_physical,
			u64 *ret_entry, u64 *ret_size)
{
	u64 address = root & address_mask;

	if (!canonical(virt))
		return false;

	for (int shift = PK_SHIFT_512G; shift >= PK_PAGE_SHIFT; shift -= PK_LEVEL_SHIFT) {
		const u64 *table = read(context, address);
		u64 offset_mask = (1ULL << shift) - 1;
		u64 entry;

		if (!table)
			return false;
		entry = table[index_of(virt, shift)];
		if (!(entry & PK_PTE_PRESENT))
			return false;
		if (shift == PK_PAGE_SHIFT || entry & PK_PTE_HUGE) {
			/* The bit is reserved in the top level: the processor would fault. */
			if (shift == PK_SHIFT_512G)
				return false;
			*ret_physical = (entry & address_mask & ~offset_mask) | (virt & offset_mask);
			*ret_entry = entry;
			*ret_size = offset_mask + 1;
			return true;
		}
		address = entry & address_mask;
	}
	return false;
}
