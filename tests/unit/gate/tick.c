// SPDX-License-Identifier: Apache-2.0
/*
 * The firmware's tick on a machine that is a program. Arguments: the firmware's timer, and "hidden"
 * if it has no protocol. It is stopped, an interrupt is latched, and it is started again; a line for
 * each thing that is done to the machine meanwhile.
 */
#include <stdio.h>
#include <string.h>

#include <efi/architectural.h>
#include <stub/gate/hardware.h>
#include <stub/gate/tick.h>
#include <stub/lib/io.h>
#include <stub/lib/stub.h>

enum { PIN_VECTOR = 0x51 };
enum { NOW = 1000000, LATCHED = 0x41, VECTOR = 0x20, MODE_PERIODIC = 0x20000, MODE_DEADLINE = 0x40000 };

static bool is_hidden, is_by_pin, is_refused, interrupts_on;
static u32 lvt;
static u64 period;

static EFIAPI efi_status_t set_timer_period(struct efi_timer_arch *this, u64 new)
{
	(void)this;
	printf("period %llu, interrupts %s\n", (unsigned long long)new, interrupts_on ? "on" : "off");
	if (is_refused)
		return EFI_UNSUPPORTED;
	period = new;
	return EFI_SUCCESS;
}

static EFIAPI efi_status_t get_timer_period(struct efi_timer_arch *this, u64 *ret)
{
	(void)this;
	*ret = period;
	return EFI_SUCCESS;
}

static struct efi_timer_arch timer = { NULL, set_timer_period, get_timer_period, NULL };

static EFIAPI efi_status_t locate_protocol(const efi_guid_t *guid, void *registration, void **interface)
{
	(void)registration;
	if (is_hidden || memcmp(guid, &efi_guid_timer_arch, sizeof(*guid)))
		return EFI_NOT_FOUND;
	*interface = &timer;
	return EFI_SUCCESS;
}

static struct efi_boot_services services = { .locate_protocol = locate_protocol };
struct efi_boot_services *pk_bs = &services;

void pk_host_interrupts(bool on) { interrupts_on = on; }
u64 pk_rdtsc(void) { return NOW; }
u64 pk_rdmsr(u32 msr) { return msr & 0; }

void pk_wrmsr(u32 msr, u64 value)
{
	printf("msr %x %llu\n", msr, (unsigned long long)value);
}

u32 pk_lapic_read(u32 offset)
{
	if (offset == PK_LAPIC_LVT_TIMER)
		return lvt;
	return offset == PK_LAPIC_IRR + 16 * (LATCHED / 32) ? 1u << LATCHED % 32 : 0;
}

void pk_lapic_write(u32 offset, u32 value)
{
	printf("lapic %x %x\n", offset, value);
}

u32 pk_ioapic_pins(void) { return 3; }

/* Masked; open to an edge; open to a level. */
u32 pk_ioapic_read(u32 index)
{
	static const u32 low[] = { PK_RTE_MASKED | 0x50, PIN_VECTOR, 0x8000 | 0x52 };

	return is_by_pin ? low[(index - PK_IOAPIC_RTE) / 2] : PK_RTE_MASKED;
}

int main(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "";

	is_hidden = argc > 2 && !strcmp(argv[2], "hidden");
	is_refused = argc > 2 && !strcmp(argv[2], "refused");
	is_by_pin = !strcmp(kind, "pin");
	period = strcmp(kind, "off") ? 100000 : 0;
	lvt = VECTOR | PK_LVT_MASKED;
	if (!strcmp(kind, "deadline"))
		lvt = VECTOR | MODE_DEADLINE;
	if (!strcmp(kind, "periodic"))
		lvt = VECTOR | MODE_PERIODIC;
	pk_tick_init();
	pk_tick_stop();
	if (!strcmp(kind, "msi"))
		pk_tick_learn();
	pk_tick_start();
	printf("interrupts %s\n", interrupts_on ? "on" : "off");
	return 0;
}
