// SPDX-License-Identifier: Apache-2.0
/* Step 3: a context of our own, left for every call of the firmware, as Windows' boot library does. */
#include <payload/bootmgr/bootmgr.h>
#include <stub/lib/cpu.h>
#include <stub/lib/io.h>

enum {
	CODE_SELECTOR	= 0x10,
	DATA_SELECTOR	= 0x18,
	NR_GATES	= 256,
	GATE_SIZE	= 16,
	GATE_TYPE	= 0x8e,		/* present, 64-bit interrupt gate */
	TABLES_MAX	= 64,
	TABLE_ENTRIES	= 512,
	STACK_SIZE	= 256 * 1024,
	NR_CALLS	= 300,
	NR_STALLS	= 64,
	STALL_US	= 1000,
	TICK_100NS	= 100000,
	RESET_PORT	= 0xcf9,
	RESET_FULL	= 0x0e,
	PRESENT_WRITE	= 3,
	LARGE_GLOBAL	= 0x180,
};

#define CR0_WP 0x10000ULL
#define CR4_PGE 0x80ULL
#define CR4_LA57 0x1000ULL
#define TABLE_ADDRESS 0x000ffffffffff000ULL
#define FOUR_GIB (1ULL << 32)

/* The offsets are switch.S's. */
struct wbm_world {
	u64 cr0;
	u64 cr3;
	u64 cr4;
	u8 gdtr[16];
	u8 idtr[16];
	u16 cs;
	u16 ss;
	u16 ds;
	u16 es;
};
_Static_assert(offsetof(struct wbm_world, gdtr) == 24 && offsetof(struct wbm_world, idtr) == 40 &&
	       offsetof(struct wbm_world, cs) == 56 && sizeof(struct wbm_world) == 64, "switch.S");

struct wbm_world wbm_firmware_world, wbm_application_world, wbm_returned_world;
extern const u8 wbm_gates[];

u64 wbm_enter(u64 (*function)(void), u64 stack);
u64 wbm_leave_and_call(u64 function, const u64 *arguments);
__attribute__((noreturn)) void wbm_fault(const u64 *stack, u64 cr2);

static u64 tables[TABLES_MAX][TABLE_ENTRIES] __attribute__((aligned(WBM_PAGE)));
static u32 nr_tables;
static u64 gdt[4] = { 0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff };
static u16 idt[NR_GATES][8] __attribute__((aligned(16)));
static bool is_inside;
static u32 nr_calls;
static volatile u32 nr_ticks;
static efi_event_t ticker;
static bool world_kept = true;

void wbm_fault(const u64 *stack, u64 cr2)
{
	wbm_fact("fault", stack[0], cr2, stack[1], stack[2], stack[3]);
	for (;;)
		pk_outb(RESET_PORT, RESET_FULL);
}

static u64 *descend(u64 *entry)
{
	if (!(*entry & 1)) {
		if (nr_tables == TABLES_MAX)
			return NULL;
		*entry = (u64)tables[nr_tables++] | PRESENT_WRITE;
	}
	return (u64 *)(*entry & TABLE_ADDRESS);
}

bool wbm_map_pages(u64 virt, u64 physical, u64 size)
{
	u64 offset = virt % WBM_LARGE_PAGE;

	if (offset != physical % WBM_LARGE_PAGE)
		return false;
	for (u64 done = 0; done < offset + size; done += WBM_LARGE_PAGE) {
		u64 address = virt - offset + done;
		u64 *table = tables[0];

		/* The root of five levels has our four at both ends. */
		for (u32 shift = 39; table && shift > 21; shift -= 9)
			table = descend(&table[address >> shift & (TABLE_ENTRIES - 1)]);
		if (!table)
			return false;
		table[address >> 21 & (TABLE_ENTRIES - 1)] = (physical - offset + done) | LARGE_GLOBAL | PRESENT_WRITE;
	}
	return true;
}

static bool map_everything(void)
{
	u64 end = FOUR_GIB;

	for (u64 at = 0; at < wbm.map.size; at += wbm.map.step) {
		const struct efi_memory_descriptor *each = (const void *)(wbm.map.data + at);
		u64 last = each->physical_start + each->number_of_pages * WBM_PAGE;

		if (each->type != EFI_MEMORY_MAPPED_IO && each->attribute & EFI_MEMORY_WB && last > end)
			end = last;
	}
	nr_tables = 1;
	return wbm_map_pages(0, 0, end) && wbm_map_pages(WBM_HEAP_VIRTUAL, wbm.heap, wbm.heap_size);
}

static void set_descriptor_table(u8 *table, const void *base, u64 size)
{
	u16 limit = (u16)(size - 1);
	u64 address = (u64)base;

	memcpy(table, &limit, sizeof(limit));
	memcpy(table + sizeof(limit), &address, sizeof(address));
}

static void remember_firmware(void)
{
	struct wbm_world *world = &wbm_firmware_world;

	world->cr0 = pk_cpu_read(PK_CPU_CR0);
	world->cr3 = pk_cpu_read(PK_CPU_CR3);
	world->cr4 = pk_cpu_read(PK_CPU_CR4);
	__asm__ volatile("sgdt %0" : "=m"(world->gdtr));
	__asm__ volatile("sidt %0" : "=m"(world->idtr));
	world->cs = (u16)pk_cpu_read(PK_CPU_SEL_CS);
	world->ss = (u16)pk_cpu_read(PK_CPU_SEL_SS);
	world->ds = (u16)pk_cpu_read(PK_CPU_SEL_DS);
	world->es = (u16)pk_cpu_read(PK_CPU_SEL_ES);
}

static void make_application(void)
{
	struct wbm_world *world = &wbm_application_world;
	u64 root = (u64)tables[0];

	if (wbm_firmware_world.cr4 & CR4_LA57) {
		tables[nr_tables][0] = root | PRESENT_WRITE;
		tables[nr_tables][TABLE_ENTRIES - 1] = root | PRESENT_WRITE;
		root = (u64)tables[nr_tables++];
	}
	for (u32 i = 0; i < NR_GATES; i++) {
		u64 gate = (u64)wbm_gates + i * GATE_SIZE;

		idt[i][0] = (u16)gate;
		idt[i][1] = CODE_SELECTOR;
		idt[i][2] = GATE_TYPE << 8;
		idt[i][3] = (u16)(gate >> 16);
		memcpy(&idt[i][4], (u8 *)&gate + 4, 4);
	}
	*world = (struct wbm_world){
		.cr0 = wbm_firmware_world.cr0 | CR0_WP,
		.cr3 = root,
		.cr4 = wbm_firmware_world.cr4 | CR4_PGE,
		.cs = CODE_SELECTOR,
		.ss = DATA_SELECTOR,
		.ds = DATA_SELECTOR,
		.es = DATA_SELECTOR,
	};
	set_descriptor_table(world->gdtr, gdt, sizeof(gdt));
	set_descriptor_table(world->idtr, idt, sizeof(idt));
}

static efi_status_t (*application)(void);

static u64 start_application(void)
{
	is_inside = true;
	return application();
}

efi_status_t wbm_run_application(efi_status_t (*function)(void))
{
	efi_status_t status;

	if (!map_everything())
		return EFI_OUT_OF_RESOURCES;
	remember_firmware();
	make_application();
	application = function;
	/* The stack is what lies at the end of the heap. */
	wbm.heap_size -= STACK_SIZE;
	status = wbm_enter(start_application, WBM_HEAP_VIRTUAL + wbm.heap_size + STACK_SIZE);
	is_inside = false;
	if (ticker)
		wbm.bs->close_event(ticker);
	return status;
}

static u64 translated(u64 argument)
{
	u64 offset = argument - WBM_HEAP_VIRTUAL;

	return offset < wbm.heap_size + STACK_SIZE ? wbm.heap + offset : argument;
}

/* As long as Windows has interrupts off now and then, up to 10 ms. */
static void tarry(void)
{
	u64 start = pk_rdtsc(), ticks = nr_calls * 7919ULL % 1000 * 10000;

	if (nr_calls % 16 == 0)
		while (pk_rdtsc() - start < ticks)
			;
}

u64 wbm_firmware_call(u64 function, const u64 *arguments, u32 nr_arguments)
{
	static u64 words[WBM_ARGUMENTS_MAX];
	u64 result;

	typedef u64 (EFIAPI *call_t)(u64, u64, u64, u64, u64, u64, u64, u64, u64, u64);

	for (u32 i = 0; i < WBM_ARGUMENTS_MAX; i++)
		words[i] = i < nr_arguments ? translated(arguments[i]) : 0;
	if (!is_inside)
		return ((call_t)function)(words[0], words[1], words[2], words[3], words[4], words[5], words[6],
					  words[7], words[8], words[9]);
	result = wbm_leave_and_call(function, words);
	nr_calls++;
	if (wbm_returned_world.cr3 != wbm_firmware_world.cr3 ||
	    memcmp(wbm_returned_world.gdtr, wbm_firmware_world.gdtr, 10) ||
	    memcmp(wbm_returned_world.idtr, wbm_firmware_world.idtr, 10))
		world_kept = false;
	tarry();
	return result;
}

bool wbm_firmware_kept_its_world(void)
{
	return world_kept;
}

static void EFIAPI tick(efi_event_t event, void *context)
{
	(void)event;
	(void)context;
	nr_ticks++;
}

/* Two Stalls that nothing came between take as long; a busy host comes between. */
static bool clock_is_steady(void)
{
	u64 best = ~0ULL, second = ~0ULL;

	for (u32 i = 0; i < NR_STALLS; i++) {
		u64 start = pk_rdtsc(), ticks;

		wbm_call(wbm.bs->stall, STALL_US);
		ticks = pk_rdtsc() - start;
		if (ticks < best) {
			second = best;
			best = ticks;
		} else if (ticks < second) {
			second = ticks;
		}
		if (i >= 7 && second - best <= best / 20)
			return true;
	}
	return false;
}

efi_status_t wbm_context(void)
{
	u32 before;

	wbm_need(!pk_interrupts_enabled());
	wbm_try(wbm_call(wbm.bs->create_event, (u32)EFI_EVT_TIMER | EFI_EVT_NOTIFY_SIGNAL, EFI_TPL_CALLBACK, tick,
			 NULL, &ticker));
	wbm_try(wbm_call(wbm.bs->set_timer, ticker, EFI_TIMER_PERIODIC, TICK_100NS));
	for (u32 i = 0; i < NR_CALLS; i++) {
		u64 tpl = wbm_call(wbm.bs->raise_tpl, EFI_TPL_NOTIFY);

		wbm_need(tpl == EFI_TPL_APPLICATION);
		wbm_call(wbm.bs->restore_tpl, tpl);
	}
	wbm_need(clock_is_steady());
	before = nr_ticks;
	/* A busy host may be late with them, but they come. */
	for (u32 i = 0; i < NR_STALLS && nr_ticks == before; i++)
		wbm_call(wbm.bs->stall, 100 * STALL_US);
	wbm_need(nr_ticks > before);
	wbm_need(!pk_interrupts_enabled());
	wbm_need(wbm_firmware_kept_its_world());
	return EFI_SUCCESS;
}
