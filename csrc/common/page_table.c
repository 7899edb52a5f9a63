// SPDX-License-Identifier: Apache-2.0
/* x86-64 page tables of four or five levels (Intel SDM volume 3, 4.5). */
#include <common/mem.h>
#include <common/page_table.h>
#include <pykexec/abi.h>

enum {
	PK_TABLE_ENTRIES	= 512,
	PK_PAGE_SHIFT		= 12,
	PK_LEVEL_SHIFT		= 9,
	PK_SHIFT_2M		= 21,
	PK_SHIFT_1G		= 30,
	PK_PHYSICAL_BITS	= 52,
};

static const u64 address_mask = 0x000ffffffffff000;

static u64 index_of(u64 address, int shift)
{
	return (address >> shift) % PK_TABLE_ENTRIES;
}

/* Where the index into the tables of a level begins; the lowest, of 4 KiB pages, is 1. */
static int shift_of(u32 level)
{
	return PK_PAGE_SHIFT + (int)(level - 1) * PK_LEVEL_SHIFT;
}

/* Bits of an address that the tables translate: 48 or 57. */
static int virtual_bits(u32 levels)
{
	return shift_of(levels + 1);
}

/* What is mapped to itself ends here: canonical, and a physical address. */
static u64 identity_end(u32 levels)
{
	int bits = virtual_bits(levels) - 1;

	return 1ULL << (bits < PK_PHYSICAL_BITS ? bits : PK_PHYSICAL_BITS);
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

bool pk_page_table_init(struct pk_page_table *table, u32 levels, u64 pool, u64 pool_size)
{
	struct pk_page_table fresh = { pool, pool_size, 0, levels };

	if ((levels != PK_FOUR_LEVELS && levels != PK_FIVE_LEVELS) || !pool || pool % PK_PAGE_SIZE ||
	    pool_size > UINT64_MAX - pool || !new_page(&fresh))
		return false;
	*table = fresh;
	return true;
}

bool pk_page_table_map(struct pk_page_table *table, u64 start, u64 end)
{
	const u64 page_size = 1ULL << PK_SHIFT_2M;

	if (start > end || end > identity_end(table->levels))
		return false;

	for (u64 page = start & ~(page_size - 1); page < end && start < end; page += page_size) {
		u64 at = table->pool;

		for (int shift = shift_of(table->levels); at && shift > PK_SHIFT_2M; shift -= PK_LEVEL_SHIFT)
			at = descend(table, table_at(at) + index_of(page, shift));
		if (!at)
			return false;
		table_at(at)[index_of(page, PK_SHIFT_2M)] = page | PK_PTE_PRESENT | PK_PTE_WRITE | PK_PTE_HUGE;
	}
	return true;
}

static bool canonical(u64 address, u32 levels)
{
	int bits = virtual_bits(levels) - 1;
	u64 upper = address >> bits;

	return !upper || upper == UINT64_MAX >> bits;
}

bool pk_page_table_walk(u64 root, u32 levels, u64 virt, pk_table_reader_t read, void *context,
			u64 *ret_physical, u64 *ret_entry, u64 *ret_size)
{
	u64 address = root & address_mask;

	if (!canonical(virt, levels))
		return false;

	for (int shift = shift_of(levels); shift >= PK_PAGE_SHIFT; shift -= PK_LEVEL_SHIFT) {
		const u64 *table = read(context, address);
		u64 offset_mask = (1ULL << shift) - 1;
		u64 entry;

		if (!table)
			return false;
		entry = table[index_of(virt, shift)];
		if (!(entry & PK_PTE_PRESENT))
			return false;
		if (shift == PK_PAGE_SHIFT || entry & PK_PTE_HUGE) {
			/* Above, the bit is reserved: the processor would fault. */
			if (shift > PK_SHIFT_1G)
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
