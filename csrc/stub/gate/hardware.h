/* SPDX-License-Identifier: Apache-2.0 */
/* Interrupt controllers and PCI configuration, at register level. */
#ifndef PK_STUB_HARDWARE_H
#define PK_STUB_HARDWARE_H

#include <pykexec/types.h>

enum pk_hardware {
	PK_IOAPIC_BASE		= 0xfec00000,
	PK_LAPIC_BASE		= 0xfee00000,
	PK_IOAPIC_PINS_MAX	= 240,

	PK_MSR_APIC_BASE	= 0x1b,
	PK_APIC_X2		= 0x400,
	PK_APIC_ENABLED		= 0x800,

	PK_LAPIC_ID		= 0x020,
	PK_LAPIC_VERSION	= 0x030,
	PK_LAPIC_TPR		= 0x080,
	PK_LAPIC_EOI		= 0x0b0,
	PK_LAPIC_LDR		= 0x0d0,
	PK_LAPIC_DFR		= 0x0e0,
	PK_LAPIC_SVR		= 0x0f0,
	PK_LAPIC_ISR		= 0x100,
	PK_LAPIC_IRR		= 0x200,
	PK_LAPIC_LVT_CMCI	= 0x2f0,
	PK_LAPIC_LVT_TIMER	= 0x320,
	PK_LAPIC_LVT_THERMAL	= 0x330,
	PK_LAPIC_LVT_PMC	= 0x340,
	PK_LAPIC_LVT_LINT0	= 0x350,
	PK_LAPIC_LVT_LINT1	= 0x360,
	PK_LAPIC_LVT_ERROR	= 0x370,
	PK_LAPIC_TIMER_INITIAL	= 0x380,
	PK_LAPIC_TIMER_CURRENT	= 0x390,
	PK_LAPIC_TIMER_DIVIDE	= 0x3e0,
	PK_LVT_MASKED		= 0x10000,

	PK_IOAPIC_VERSION	= 0x01,
	PK_IOAPIC_RTE		= 0x10,
	PK_RTE_MASKED		= 0x10000,

	PK_PIC_IMR1		= 0x21,
	PK_PIC_IMR2		= 0xa1,
};

/* Have the page tables in use as many levels as those of who has this CR4? Long mode cannot change that. */
bool pk_has_levels_of(u64 cr4);

/* Can this MSR be read? Tried, on an IDT of our own. */
bool pk_msr_exists(u32 msr);

u32 pk_lapic_read(u32 offset);

/* Registers that x2APIC mode does not have or lets nobody write are passed over. */
void pk_lapic_write(u32 offset, u32 value);

/* Is the LVT at offset implemented by this local APIC? */
bool pk_lapic_has(u32 offset);

/* Bring the mode (off, xAPIC, x2APIC) to that of apic_base; down goes through off (SDM 3A 11.12.5). */
void pk_lapic_set_mode(u64 apic_base);

u32 pk_ioapic_read(u32 index);
void pk_ioapic_write(u32 index, u32 value);
u32 pk_ioapic_pins(void);

/* Mask every pin that is not; *nr_open counts them. */
void pk_ioapic_mask_all(u32 *nr_open);

u32 pk_pci_read(u32 bdf, u32 offset);
void pk_pci_write(u32 bdf, u32 offset, u32 value);

/*
 * Take and end every interrupt that is latched or in service, on an IDT of our
 * own: what one world's devices raised must never reach the other's handlers.
 * Interrupt sources must be masked and interrupts off. Returns how many were
 * taken; *ret_eois counts those that were in service already.
 */
u32 pk_drain_interrupts(u32 *ret_eois);

/* Is any vector latched? */
bool pk_interrupt_latched(void);

#endif
