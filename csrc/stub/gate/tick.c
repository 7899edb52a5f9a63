// SPDX-License-Identifier: Apache-2.0
/*
 * The firmware's tick. Its own driver knows what makes it - 8254, HPET by IOAPIC or MSI, the local
 * APIC in any mode - and stops and starts it by the architectural protocol (PI 1.8, volume 2,
 * 12.11). Without that there are registers: what the state items bring back, and two things more.
 */
#include <efi/architectural.h>
#include <efi/guids.h>
#include <stub/gate/hardware.h>
#include <stub/gate/tick.h>
#include <stub/lib/io.h>
#include <stub/lib/stub.h>
#include <stub/lib/test.h>

enum {
	MSR_TSC_DEADLINE = 0x6e0,
	LVT_MODE = 0x60000,
	LVT_TSC_DEADLINE = 0x40000,
	DEADLINE_TSC = 10000,		/* soon */
	LAPIC_ICR = 0x300,
	ICR_ASSERT = 0x4000,
	ICR_TO_SELF = 0x40000,
	VECTOR_WORDS = 8,
	RTE_VECTOR = 0xff,
	RTE_LEVEL = 0x8000,
};

static struct efi_timer_arch *timer;
static u64 period;			/* 100 ns; 0: not stopped by the protocol */
static u32 raised[VECTOR_WORDS];	/* vectors of sources that fire once, into Linux' turn */

/* An edge at a pin that is masked in Linux' turn is lost. */
static void learn_pins(void)
{
	u32 pins = pk_ioapic_pins();

	for (u32 pin = 0; pin < pins; pin++) {
		u32 low = pk_ioapic_read(PK_IOAPIC_RTE + 2 * pin);

		if (!(low & (PK_RTE_MASKED | RTE_LEVEL)))
			raised[(low & RTE_VECTOR) / 32] |= pk_test_learnt(1u << low % 32);
	}
}

void pk_tick_init(void)
{
	learn_pins();
	if (EFI_ERROR(pk_bs->locate_protocol(&efi_guid_timer_arch, NULL, (void **)&timer)))
		timer = NULL;
	timer = pk_test_timer_arch(timer);
}

void pk_tick_stop(void)
{
	/* A driver may wait for the handler of a tick that is due: EDK II's for the HPET does. */
	pk_interrupts_on();
	if (!timer || EFI_ERROR(timer->get_timer_period(timer, &period)))
		period = 0;
	if (period && EFI_ERROR(timer->set_timer_period(timer, 0)))
		period = 0;
	pk_interrupts_off();
}

/* The deadline passed in Linux' world, where the timer was masked: nobody sets the next one. */
static void restart_deadline(void)
{
	u32 lvt = pk_lapic_read(PK_LAPIC_LVT_TIMER);

	if (lvt & PK_LVT_MASKED || (lvt & LVT_MODE) != LVT_TSC_DEADLINE)
		return;
	/* The mode has to be there first (SDM 3A, 11.5.4.1). */
	__asm__ volatile("mfence" : : : "memory");
	pk_wrmsr(MSR_TSC_DEADLINE, pk_rdtsc() + DEADLINE_TSC);
}

/*
 * What has fired into Linux' turn may be set to fire again by its handler alone: so it is told late.
 */
static void raise_learnt(void)
{
	for (u32 vector = 32; vector < 32 * VECTOR_WORDS; vector++)
		if (raised[vector / 32] & 1u << vector % 32)
			pk_lapic_write(LAPIC_ICR, ICR_TO_SELF | ICR_ASSERT | vector);
}

void pk_tick_start(void)
{
	if (period && !EFI_ERROR(timer->set_timer_period(timer, period))) {
		pk_interrupts_off();
		return;
	}
	restart_deadline();
	raise_learnt();
}

void pk_tick_learn(void)
{
	for (u32 word = 1; word < VECTOR_WORDS; word++)
		raised[word] |= pk_test_learnt(pk_lapic_read(PK_LAPIC_IRR + 16 * word));
}
