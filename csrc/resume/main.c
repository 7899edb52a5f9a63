// SPDX-License-Identifier: Apache-2.0
/*
 * The resume image: entered by kexec instead of a kernel, it finds the handoff,
 * checks it, and jumps into the stub that is still resident. All that follows
 * is ordinary EFI code there.
 */
#include <asm/bootparam.h>
#include <common/handoff.h>
#include <common/mem.h>
#include <common/page_table.h>
#include <efi/guids.h>
#include <efi/tables.h>
#include <stub/lib/cpu.h>
#include <stub/lib/io.h>

enum {
	POOL_SIZE	= 16 * PK_PAGE_SIZE,
	TABLES_MAX	= 1024,
	UART		= 0x3f8,
	UART_LSR	= UART + 5,
	UART_EMPTY	= 0x20,
	RESET_PORT	= 0xcf9,
	RESET_FULL	= 0x06,
	CR4_PGE		= 0x80,
	CR4_PCIDE	= 0x20000,
};

extern u8 __resume_base[];

static u8 pool[POOL_SIZE] __attribute__((aligned(PK_PAGE_SIZE)));
static u8 handoff_copy[sizeof(struct pk_handoff)];

/* Straight to the UART, which Linux left initialised; silence where there is none. */
static void put(const char *text)
{
	if (pk_inb(UART_LSR) == 0xff)
		return;
	for (; *text; text++) {
		for (u32 i = 0; i < 100000 && !(pk_inb(UART_LSR) & UART_EMPTY); i++)
			;
		pk_outb(UART, (u8)*text);
	}
}

/* There is no firmware to go back to without a handoff: say where it ended, then start the machine afresh. */
static __attribute__((noreturn)) void fail(const char *stage, u32 fault)
{
	char digits[] = "00\r\n";

	put("PK:resume:");
	put(stage);
	digits[0] = (char)('0' + fault / 10 % 10);
	digits[1] = (char)('0' + fault % 10);
	put(digits);
	pk_outb(RESET_PORT, RESET_FULL);
	for (;;)
		__asm__ volatile("lidt %0; int3" : : "m"((const u8[10]){ 0 }));
}

static void map(struct pk_page_table *table, u64 start, u64 size)
{
	if (!size || start + size < start || !pk_page_table_map(table, start, start + size))
		fail("map:", 1);
	__asm__ volatile("mov %0, %%cr3" : : "r"(table->pool) : "memory");
}

static void switch_page_tables(struct pk_page_table *table)
{
	u64 cr3, cr4;
	u32 levels;

	__asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
	levels = cr4 & PK_CR4_LA57 ? PK_FIVE_LEVELS : PK_FOUR_LEVELS;
	__asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
	__asm__ volatile("mov %0, %%cr3" : : "r"(cr3 & ~0xfffULL) : "memory");
	__asm__ volatile("mov %0, %%cr4" : : "r"(cr4 & ~(u64)(CR4_PGE | CR4_PCIDE)) : "memory");
	if (!pk_page_table_init(table, levels, (u64)pool, sizeof(pool)) ||
	    !pk_page_table_map(table, (u64)__resume_base, (u64)pool + sizeof(pool)))
		fail("map:", 2);
	__asm__ volatile("mov %0, %%cr3" : : "r"(table->pool) : "memory");
}

static u64 find_handoff(struct pk_page_table *table, const struct boot_params *boot_params)
{
	u64 address = boot_params->efi_info.efi_systab | (u64)boot_params->efi_info.efi_systab_hi << 32;
	const struct efi_system_table *system_table = (const void *)address;

	if (!address)
		fail("systab:", 1);
	map(table, address, sizeof(*system_table));
	if (!system_table->nr_tables || system_table->nr_tables > TABLES_MAX)
		fail("systab:", 2);
	map(table, (u64)system_table->tables, system_table->nr_tables * sizeof(*system_table->tables));
	for (u64 i = 0; i < system_table->nr_tables; i++)
		if (!memcmp(&system_table->tables[i].vendor_guid, &efi_guid_pykexec_handoff, sizeof(efi_guid_t)))
			return (u64)system_table->tables[i].vendor_table;
	fail("systab:", 3);
}

void pk_resume_main(const struct boot_params *boot_params);
void pk_resume_main(const struct boot_params *boot_params)
{
	const struct pk_handoff *handoff;
	struct pk_page_table table;
	enum pk_handoff_fault fault;

	put("PK:resume:resume:0\r\n");
	switch_page_tables(&table);
	map(&table, (u64)boot_params, sizeof(*boot_params));
	handoff = (const void *)find_handoff(&table, boot_params);
	map(&table, (u64)handoff, sizeof(*handoff));
	memcpy(handoff_copy, handoff, sizeof(handoff_copy));
	fault = pk_handoff_check(handoff_copy, sizeof(handoff_copy), (u64)handoff);
	if (fault != PK_HANDOFF_OK)
		fail("handoff:", fault);
	/* To change the number of levels is to leave long mode: the stub sees to it that Linux has as many. */
	if ((pk_cpu_read(PK_CPU_CR4) ^ handoff->cpu.cr4) & PK_CR4_LA57)
		fail("la57:", 1);
	map(&table, handoff->stub.start, handoff->stub.size);
	put("PK:resume:handoff:0\r\n");
	__asm__ volatile("jmp *%0" : : "r"(handoff->resume_entry), "D"(handoff), "S"(boot_params) : "memory");
	__builtin_unreachable();
}
