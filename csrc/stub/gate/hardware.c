// SPDX-License-Identifier: Apache-2.0
/* Interrupt controllers and PCI configuration, at register level. */
#include <stub/gate/hardware.h>
#include <stub/gate/idt.h>
#include <stub/lib/cpu.h>
#include <stub/lib/io.h>

enum {
	PK_X2APIC_MSRS = 0x800,
	PK_PCI_ADDRESS = 0xcf8,
	PK_PCI_DATA = 0xcfc,
	PK_DRAIN_MAX = 512,
};

bool pk_has_levels_of(u64 cr4)
{
	return !((pk_cpu_read(PK_CPU_CR4) ^ cr4) & PK_CR4_LA57);
}

static bool x2apic(u64 apic_base)
{
	return apic_base & PK_APIC_X2;
}

u32 pk_lapic_read(u32 offset)
{
	u64 base = pk_rdmsr(PK_MSR_APIC_BASE);

	if (!(base & PK_APIC_ENABLED))
		return 0;
	if (x2apic(base))
		return offset == PK_LAPIC_DFR ? 0 : (u32)pk_rdmsr(PK_X2APIC_MSRS + (offset >> 4));
	return pk_mmio_read((base & ~0xfffULL) + offset);
}

void pk_lapic_write(u32 offset, u32 value)
{
	u64 base = pk_rdmsr(PK_MSR_APIC_BASE);

	if (!(base & PK_APIC_ENABLED))
		return;
	if (x2apic(base)) {
		if (offset != PK_LAPIC_DFR && offset != PK_LAPIC_LDR && offset != PK_LAPIC_ID)
			pk_wrmsr(PK_X2APIC_MSRS + (offset >> 4), value);
		return;
	}
	pk_mmio_write((base & ~0xfffULL) + offset, value);
}

bool pk_lapic_has(u32 offset)
{
	u32 max_lvt = pk_lapic_read(PK_LAPIC_VERSION) >> 16 & 0xff;

	switch (offset) {
	case PK_LAPIC_LVT_PMC:
		return max_lvt >= 4;
	case PK_LAPIC_LVT_THERMAL:
		return max_lvt >= 5;
	case PK_LAPIC_LVT_CMCI:
		return max_lvt >= 6;
	default:
		return true;
	}
}

void pk_lapic_set_mode(u64 apic_base)
{
	u64 mode = PK_APIC_ENABLED | PK_APIC_X2;
	u64 now = pk_rdmsr(PK_MSR_APIC_BASE);

	if ((now & mode) == (apic_base & mode))
		return;
	if (x2apic(now) || !(apic_base & PK_APIC_ENABLED))
		pk_wrmsr(PK_MSR_APIC_BASE, now & ~mode);
	if (apic_base & PK_APIC_ENABLED)
		pk_wrmsr(PK_MSR_APIC_BASE, apic_base & ~(u64)PK_APIC_X2);
	if (x2apic(apic_base))
		pk_wrmsr(PK_MSR_APIC_BASE, apic_base);
}

u32 pk_ioapic_read(u32 index)
{
	pk_mmio_write(PK_IOAPIC_BASE, index);
	return pk_mmio_read(PK_IOAPIC_BASE + 0x10);
}

void pk_ioapic_write(u32 index, u32 value)
{
	pk_mmio_write(PK_IOAPIC_BASE, index);
	pk_mmio_write(PK_IOAPIC_BASE + 0x10, value);
}

u32 pk_ioapic_pins(void)
{
	u32 version = pk_ioapic_read(PK_IOAPIC_VERSION);
	u32 pins = (version >> 16 & 0xff) + 1;

	/* All ones: no IOAPIC at the architectural address. */
	return version == 0xffffffff || pins > PK_IOAPIC_PINS_MAX ? 0 : pins;
}

void pk_ioapic_mask_all(u32 *nr_open)
{
	u32 pins = pk_ioapic_pins();

	*nr_open = 0;
	for (u32 pin = 0; pin < pins; pin++) {
		u32 low = pk_ioapic_read(PK_IOAPIC_RTE + 2 * pin);

		if (low & PK_RTE_MASKED)
			continue;
		pk_ioapic_write(PK_IOAPIC_RTE + 2 * pin, low | PK_RTE_MASKED);
		++*nr_open;
	}
}

u32 pk_pci_read(u32 bdf, u32 offset)
{
	pk_outl(PK_PCI_ADDRESS, 0x80000000 | bdf << 8 | offset);
	return pk_inl(PK_PCI_DATA);
}

void pk_pci_write(u32 bdf, u32 offset, u32 value)
{
	pk_outl(PK_PCI_ADDRESS, 0x80000000 | bdf << 8 | offset);
	pk_outl(PK_PCI_DATA, value);
}

bool pk_interrupt_latched(void)
{
	/* Vectors below 32 are exceptions. */
	for (u32 word = 1; word < 8; word++)
		if (pk_lapic_read(PK_LAPIC_IRR + 16 * word))
			return true;
	return false;
}

static bool in_service(void)
{
	for (u32 word = 0; word < 8; word++)
		if (pk_lapic_read(PK_LAPIC_ISR + 16 * word))
			return true;
	return false;
}

void pk_drain_interrupt(void);
void pk_msr_fault(void);
void pk_fault_nmi(void);	/* faults.S */

static struct pk_idt_gate own_idt[PK_IDT_ENTRIES] __attribute__((aligned(16)));

static void own_idt_load(struct pk_idt_register *old)
{
	struct pk_idt_register new = pk_idt_register(own_idt);
	u16 cs;

	__asm__ volatile("mov %%cs, %0" : "=r"(cs));
	for (u32 i = 0; i < PK_IDT_ENTRIES; i++)
		own_idt[i] = pk_idt_gate(pk_drain_interrupt, cs);
	own_idt[PK_VECTOR_NMI] = pk_idt_gate(pk_fault_nmi, cs);
	own_idt[PK_VECTOR_GENERAL_PROTECTION] = pk_idt_gate(pk_msr_fault, cs);
	__asm__ volatile("sidt %0; lidt %1" : "=m"(*old) : "m"(new) : "memory");
}

bool pk_msr_exists(u32 msr)
{
	bool interrupts_were_on = pk_interrupts_enabled();
	struct pk_idt_register old;
	u32 low, high;
	bool exists;

	pk_interrupts_off();
	own_idt_load(&old);
	__asm__ volatile("clc; rdmsr" : "=@ccnc"(exists), "=a"(low), "=d"(high) : "c"(msr));
	__asm__ volatile("lidt %0" : : "m"(old));
	if (interrupts_were_on)
		pk_interrupts_on();
	return exists;
}

u32 pk_drain_interrupts(u32 *ret_eois)
{
	struct pk_idt_register old;
	u32 taken = 0;

	*ret_eois = 0;
	own_idt_load(&old);
	/* Bounded: a level-triggered source that nobody masks must not hold the machine. */
	for (u32 i = 0; i < PK_DRAIN_MAX; i++) {
		if (in_service()) {
			pk_lapic_write(PK_LAPIC_EOI, 0);
			if (!taken)
				++*ret_eois;
		} else if (pk_interrupt_latched()) {
			pk_interrupt_window();
			taken++;
		} else {
			break;
		}
	}
	__asm__ volatile("lidt %0" : : "m"(old));
	return taken;
}
