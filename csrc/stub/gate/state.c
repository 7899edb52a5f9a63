// SPDX-License-Identifier: Apache-2.0
/* Saving, restoring, switching and reporting the machine's state, as the table in state_items.c says. */
#include <pykexec/abi.h>
#include <stub/gate/hardware.h>
#include <stub/gate/state.h>
#include <stub/gate/state_items.h>
#include <stub/gate/tick.h>
#include <stub/gate/watchdog.h>
#include <stub/lib/io.h>
#include <stub/lib/test.h>

enum {
	LINUX_WINDOWS_MAX = 64,
	SVR_ENABLED = 0x100,
	LVT_TIMER_MODE = 0x60000,	/* zero: one-shot */
	REARM_COUNT = 1000,		/* bus clocks: soon, but not before Linux' IDT is back */
};

/* Values of one walk over the table, in its order. */
struct snapshot {
	u64 values[PK_STATE_MAX];
};

static struct snapshot before, during, left, after, linux_values;
static u32 counts[PK_STATE_ITEMS_MAX];	/* of the first walk: later ones must fall into the same slots */
static bool has_left;
static u64 firmware_apic_base;

static bool is_present(const struct pk_state_item *item)
{
	return (!item->present || item->present()) &&
	       (!(item->flags & PK_ITEM_PROBED) || pk_msr_exists(item->which));
}

static void count_values(void)
{
	u32 room = PK_STATE_MAX;

	for (u32 i = 0; i < pk_nr_state_items; i++) {
		const struct pk_state_item *item = &pk_state_items[i];
		u32 count = 0;

		if (is_present(item))
			count = item->count ? item->count() : 1;
		counts[i] = count < room ? count : room;
		room -= counts[i];
	}
}

/* Items that have all of flags. */
static void read_values(struct snapshot *snapshot, u32 flags)
{
	u32 slot = 0;

	for (u32 i = 0; i < pk_nr_state_items; slot += counts[i++]) {
		const struct pk_state_item *item = &pk_state_items[i];

		if ((item->flags & flags) != flags)
			continue;
		for (u32 index = 0; index < counts[i]; index++)
			snapshot->values[slot + index] = item->read(item->which, index);
	}
}

static void write_values(const struct snapshot *snapshot, u32 flags)
{
	u32 slot = 0;

	for (u32 i = 0; i < pk_nr_state_items; slot += counts[i++]) {
		const struct pk_state_item *item = &pk_state_items[i];

		if ((item->flags & flags) != flags || !item->write)
			continue;
		for (u32 index = 0; index < counts[i]; index++)
			item->write(item->which, index, snapshot->values[slot + index]);
	}
}

static void mask_external(void)
{
	u32 nr_open;

	pk_outb(PK_PIC_IMR1, 0xff);
	pk_outb(PK_PIC_IMR2, 0xff);
	pk_ioapic_mask_all(&nr_open);
}

static void mask_timer(void)
{
	pk_lapic_write(PK_LAPIC_LVT_TIMER, pk_lapic_read(PK_LAPIC_LVT_TIMER) | PK_LVT_MASKED);
}

/* Let the world we are in take what is latched, with its own handlers. */
static void take_latched(void)
{
	for (u32 i = 0; i < LINUX_WINDOWS_MAX && pk_interrupt_latched(); i++)
		pk_interrupt_window();
}

void pk_state_save(void)
{
	pk_state_scan_pci();
	count_values();
	firmware_apic_base = pk_rdmsr(PK_MSR_APIC_BASE);
	read_values(&before, 0);
}

void pk_state_quiesce(void)
{
	u32 eois;

	pk_watchdogs_stop();
	pk_tick_stop();
	/* A tick latched now would be taken in Linux' IDT, never ended, and block the firmware's timer for ever. */
	mask_external();
	mask_timer();
	take_latched();
	pk_drain_interrupts(&eois);
	pk_lapic_write(PK_LAPIC_TIMER_INITIAL, 0);
}

void pk_state_restore(void)
{
	u32 eois;

	pk_test_window();
	read_values(&left, 0);
	mask_external();
	/* kexec leaves the local APIC disabled by software: latched vectors show only when it is on. */
	pk_lapic_set_mode(firmware_apic_base);
	pk_lapic_write(PK_LAPIC_SVR, pk_lapic_read(PK_LAPIC_SVR) | SVR_ENABLED);
	mask_timer();
	pk_lapic_write(PK_LAPIC_TIMER_INITIAL, 0);
	/* Linux' vector left in IRR would be taken by the firmware, never ended, and block its timer. */
	pk_test_drain(pk_drain_interrupts(&eois));
	write_values(&before, 0);
	pk_tick_start();
	read_values(&after, 0);
	has_left = true;
}

void pk_state_leave_linux(bool interrupts_were_on, u32 *ret_drained, u32 *ret_eois)
{
	*ret_drained = 0;
	*ret_eois = 0;
	read_values(&linux_values, PK_ITEM_EXTERNAL);
	/* Mask before taking: what fires in between would reach the firmware's IDT and stay unended. */
	mask_external();
	if (interrupts_were_on)
		take_latched();
	read_values(&linux_values, PK_ITEM_LOCAL);
	pk_test_drain_before_mask(*ret_drained = pk_drain_interrupts(ret_eois));
	pk_test_window();
	mask_timer();
	pk_test_drain_after_mask(*ret_drained = pk_drain_interrupts(ret_eois));
}

/* One-shot: the count that was left, or soon when it had run out; a lost tick would stop Linux for ever. */
static void rearm_timer(u32 current)
{
	u32 lvt = pk_lapic_read(PK_LAPIC_LVT_TIMER);
	u32 initial = pk_lapic_read(PK_LAPIC_TIMER_INITIAL);

	if (!initial || lvt & LVT_TIMER_MODE)
		return;
	pk_lapic_write(PK_LAPIC_TIMER_INITIAL, current > REARM_COUNT ? current : REARM_COUNT);
}

static u32 linux_timer_current;

void pk_state_enter_firmware(void)
{
	linux_timer_current = pk_lapic_read(PK_LAPIC_TIMER_CURRENT);
	write_values(&before, PK_ITEM_LOCAL);
	write_values(&before, PK_ITEM_EXTERNAL);
	pk_watchdogs_run();
	pk_tick_start();
	pk_interrupts_on();
}

void pk_state_leave_firmware(void)
{
	u32 eois;

	pk_watchdogs_halt();
	pk_tick_stop();
	mask_external();
	mask_timer();
	pk_lapic_write(PK_LAPIC_TIMER_INITIAL, 0);
	take_latched();
	pk_drain_interrupts(&eois);
}

void pk_state_enter_linux(void)
{
	write_values(&linux_values, PK_ITEM_LOCAL);
	rearm_timer(linux_timer_current);
	write_values(&linux_values, PK_ITEM_EXTERNAL);
}

static u8 linux_imr1, linux_imr2;

void pk_state_enter_lean(void)
{
	read_values(&linux_values, PK_ITEM_LEAN);
	write_values(&before, PK_ITEM_LEAN);
	linux_imr1 = pk_inb(PK_PIC_IMR1);
	linux_imr2 = pk_inb(PK_PIC_IMR2);
	if (linux_imr1 != 0xff)
		pk_outb(PK_PIC_IMR1, 0xff);
	if (linux_imr2 != 0xff)
		pk_outb(PK_PIC_IMR2, 0xff);
	/* Drivers expect it so: those that switch interrupts off put back what they found. */
	pk_interrupts_on();
}

void pk_state_leave_lean(void)
{
	pk_interrupts_off();
	if (linux_imr1 != 0xff)
		pk_outb(PK_PIC_IMR1, linux_imr1);
	if (linux_imr2 != 0xff)
		pk_outb(PK_PIC_IMR2, linux_imr2);
	write_values(&linux_values, PK_ITEM_LEAN);
}

static void put_name(u8 *out, const struct pk_state_item *item, u32 index)
{
	static const char digits[] = "0123456789abcdef";
	u32 n = 0;

	while (item->name[n] && n < PK_STATE_NAME_MAX - 1) {
		out[n] = (u8)item->name[n];
		n++;
	}
	if (!item->count || n + 8 >= PK_STATE_NAME_MAX)
		return;
	out[n++] = ' ';
	if (item->label) {
		u32 bdf = item->label(index);

		out[n++] = (u8)digits[bdf >> 12];
		out[n++] = (u8)digits[bdf >> 8 & 15];
		out[n++] = ':';
		out[n++] = (u8)digits[bdf >> 7 & 1];
		out[n++] = (u8)digits[bdf >> 3 & 15];
		out[n++] = '.';
		out[n] = (u8)digits[bdf & 7];
	} else {
		if (index >= 100)
			out[n++] = (u8)digits[index / 100];
		if (index >= 10)
			out[n++] = (u8)digits[index / 10 % 10];
		out[n] = (u8)digits[index % 10];
	}
}

efi_status_t pk_state_report(struct pk_call *call)
{
	struct pk_state_entry *entry = call->answer;
	u64 nr_values = 0;
	u32 slot = 0;

	for (u32 i = 0; i < pk_nr_state_items; i++)
		nr_values += counts[i];
	if (nr_values * sizeof(*entry) > call->capacity)
		return EFI_BUFFER_TOO_SMALL;

	read_values(&during, 0);
	for (u32 i = 0; i < pk_nr_state_items; i++) {
		const struct pk_state_item *item = &pk_state_items[i];

		for (u32 index = 0; index < counts[i]; index++, slot++, entry++) {
			*entry = (struct pk_state_entry){
				.flags = (item->flags & ~(u32)PK_ITEM_INTERNAL_FLAGS) |
					 (has_left ? PK_STATE_HAS_LEFT : 0),
				.before = before.values[slot] & item->compare,
				.during = during.values[slot] & item->compare,
				.left = left.values[slot] & item->compare,
				.after = after.values[slot] & item->compare,
			};
			put_name(entry->name, item, index);
		}
	}
	call->answered = nr_values * sizeof(*entry);
	return EFI_SUCCESS;
}
