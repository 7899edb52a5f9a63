// SPDX-License-Identifier: Apache-2.0
/* Walks through any tables, and the identity map that is built from any ranges. */
#include <common/page_table.h>

#include "fuzz.h"

enum { ENTRIES = 512, POOL_PAGES = 8, TABLES = 4 };

struct tables {
	u64 entries[TABLES][ENTRIES];
	u64 present;	/* one bit a table: unset ones cannot be read */
	u32 nr_reads;
};

static const u64 *read_table(void *context, u64 address)
{
	struct tables *tables = context;
	u64 index = address / PK_PAGE_SIZE % TABLES;

	FUZZ_CHECK(++tables->nr_reads <= PK_FIVE_LEVELS && !(address % PK_PAGE_SIZE));
	return tables->present >> index & 1 ? tables->entries[index] : NULL;
}

static const u64 *read_pool(void *context, u64 address)
{
	const struct pk_page_table *table = context;

	FUZZ_CHECK(address - table->pool < table->used);
	return (const u64 *)(uintptr_t)address;
}

static void walk_foreign(struct fuzz_input *input)
{
	struct tables *tables = calloc(1, sizeof(*tables));
	u32 levels = fuzz_take(input, 1) & 1 ? PK_FIVE_LEVELS : PK_FOUR_LEVELS;
	u64 virt = fuzz_take(input, 8);
	u64 root = fuzz_take(input, 8);
	u64 physical, entry, size;

	FUZZ_CHECK(tables);
	tables->present = fuzz_take(input, 1);
	/* A few entries where the walk looks, the rest anywhere. */
	for (u32 i = 0; i < TABLES; i++)
		for (int shift = 12; shift <= 48; shift += 9)
			tables->entries[i][virt >> shift & (ENTRIES - 1)] = fuzz_take(input, 8);
	if (pk_page_table_walk(root, levels, virt, read_table, tables, &physical, &entry, &size)) {
		FUZZ_CHECK(size == 1ULL << 12 || size == 1ULL << 21 || size == 1ULL << 30);
		FUZZ_CHECK(physical % size == virt % size && !(physical >> 52));
		FUZZ_CHECK(entry & PK_PTE_PRESENT);
	}
	free(tables);
}

static void check_mapped(struct pk_page_table *table, u64 address)
{
	u64 physical, entry, size;

	FUZZ_CHECK(pk_page_table_walk(table->pool, table->levels, address, read_pool, table, &physical, &entry,
				       &size));
	FUZZ_CHECK(physical == address && entry & PK_PTE_WRITE);
}

static void build(struct fuzz_input *input)
{
	u32 levels = fuzz_take(input, 1) & 1 ? PK_FIVE_LEVELS : PK_FOUR_LEVELS;
	u8 *pool = aligned_alloc(PK_PAGE_SIZE, POOL_PAGES * PK_PAGE_SIZE);
	u64 pool_size = fuzz_take(input, 1) % (POOL_PAGES + 1) * PK_PAGE_SIZE;
	struct pk_page_table table;

	FUZZ_CHECK(pool);
	memset(pool, 0xff, POOL_PAGES * PK_PAGE_SIZE);
	if (pk_page_table_init(&table, levels, (u64)(uintptr_t)pool, pool_size)) {
		while (input->size) {
			u64 start = fuzz_take(input, 6);
			u64 end = start + fuzz_take(input, 4);

			if (pk_page_table_map(&table, start, end) && start < end) {
				check_mapped(&table, start);
				check_mapped(&table, end - 1);
			}
			FUZZ_CHECK(table.used <= pool_size);
		}
	}
	free(pool);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fuzz_input input = { data, size };

	if (fuzz_take(&input, 1) & 1)
		walk_foreign(&input);
	else
		build(&input);
	return 0;
}
