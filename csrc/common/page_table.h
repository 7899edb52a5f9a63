/* SPDX-License-Identifier: Apache-2.0 */
/* x86-64 page tables of four or five levels: build an identity map, walk anybody's. */
#ifndef PK_COMMON_PAGE_TABLE_H
#define PK_COMMON_PAGE_TABLE_H

#include <pykexec/types.h>

enum {
	PK_FOUR_LEVELS	= 4,
	PK_FIVE_LEVELS	= 5,	/* with CR4.LA57 */
};

enum pk_pte_bits {
	PK_PTE_PRESENT	= 1,
	PK_PTE_WRITE	= 2,
	PK_PTE_HUGE	= 128,
};

/*
 * Tables grow inside [pool, pool + pool_size), page aligned and identity mapped.
 * Each page is zeroed when it is taken; the first is the root.
 */
struct pk_page_table {
	u64 pool;
	u64 pool_size;
	u64 used;	/* bytes */
	u32 levels;
};

bool pk_page_table_init(struct pk_page_table *table, u32 levels, u64 pool, u64 pool_size);

/*
 * Identity map every 2 MiB page that touches [start, end), writable and
 * executable. False: pool exhausted, not canonical, or beyond the last
 * physical address.
 */
bool pk_page_table_map(struct pk_page_table *table, u64 start, u64 end);

/* How a walker reads a table page: NULL when address is not to be had. Page: 512 entries. */
typedef const u64 *(*pk_table_reader_t)(void *context, u64 address);

/*
 * Translate virtual through the tables at root (CR3), of 4 KiB, 2 MiB and 1 GiB pages.
 * *ret_entry is the final entry, *ret_size the size of its page. False: not mapped or unreadable.
 */
bool pk_page_table_walk(u64 root, u32 levels, u64 virt, pk_table_reader_t read, void *context,
			u64 *ret_physical, u64 *ret_entry, u64 *ret_size);

#endif
