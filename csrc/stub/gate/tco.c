// SPDX-License-Identifier: Apache-2.0
/*
 * The chipset's watchdog (Intel's TCO timer: ICH9 datasheet, 13.9; 100 series PCH, volume 2, 8.2). A
 * firmware that armed it pats it by a timer event, which comes in full switches only.
 */
#include <stub/gate/hardware.h>
#include <stub/gate/tco.h>
#include <stub/lib/io.h>
#include <stub/lib/test.h>

enum {
	/* bus 0, device 31 */
	LPC = 31 << 3,
	SMBUS_OF_ICH = LPC | 3,
	SMBUS_OF_PCH = LPC | 4,
	PCI_CLASS = 0x08,
	INTEL = 0x8086,
	CLASS_SMBUS = 0x0c05,
	ICH_PMBASE = 0x40,
	ICH_ACPI_CONTROL = 0x44,
	ICH_ACPI_ENABLED = 0x80,
	ICH_PMBASE_MASK = 0xff80,
	TCO_OF_PMBASE = 0x60,
	PCH_TCO_BASE = 0x50,
	PCH_TCO_CONTROL = 0x54,
	PCH_TCO_ENABLED = 0x100,
	PCH_TCO_BASE_MASK = 0xffe0,

	TCO_RELOAD = 0x00,		/* read: what is left */
	TCO_LEFT = 0x3ff,
	TCO_CONTROL = 0x08,		/* TCO1_CNT */
	TCO_HALTED = 0x0800,
	TCO_LOCKED = 0x1000,		/* what is halted stays so, what runs runs on */
};

static bool is_smbus(u32 bdf)
{
	return (pk_pci_read(bdf, 0) & 0xffff) == INTEL && pk_pci_read(bdf, PCI_CLASS) >> 16 == CLASS_SMBUS;
}

static u16 find(void)
{
	u16 found = 0;

	if (is_smbus(SMBUS_OF_PCH) && pk_pci_read(SMBUS_OF_PCH, PCH_TCO_CONTROL) & PCH_TCO_ENABLED)
		found = pk_pci_read(SMBUS_OF_PCH, PCH_TCO_BASE) & PCH_TCO_BASE_MASK;
	else if (is_smbus(SMBUS_OF_ICH) && pk_pci_read(LPC, ICH_ACPI_CONTROL) & ICH_ACPI_ENABLED)
		found = (pk_pci_read(LPC, ICH_PMBASE) & ICH_PMBASE_MASK) + TCO_OF_PMBASE;
	/* One that nobody has armed must not be let run by being put back. */
	if (!found || pk_inw(found + TCO_CONTROL) & TCO_HALTED || !(pk_inw(found + TCO_RELOAD) & TCO_LEFT))
		return 0;
	return found;
}

static u16 armed;	/* its control register then */

/* 0: none that we know, or it is at rest. */
static u16 base(void)
{
	static bool is_known;
	static u16 found;

	if (!is_known)
		found = find();
	if (found && !is_known)
		armed = pk_inw(found + TCO_CONTROL);
	is_known = true;
	return found;
}

bool pk_tco_armed(void)
{
	return base();
}

u64 pk_tco_read(u32 which, u32 index)
{
	(void)which;
	(void)index;
	return pk_inw(base() + TCO_CONTROL);
}

void pk_tco_write(u32 which, u32 index, u64 value)
{
	u64 now = pk_tco_read(which, index);

	if (now != value)
		pk_outw(base() + TCO_CONTROL, (u16)value);
	/* The whole of its time: at each switch for one that nobody can halt, else whenever it is let run. */
	if (now & TCO_LOCKED || (now & TCO_HALTED && !(value & TCO_HALTED)))
		pk_outw(base() + TCO_RELOAD, 1);
}

bool pk_tco_runs_on(void)
{
	return pk_tco_armed() && (pk_tco_read(0, 0) & (TCO_LOCKED | TCO_HALTED)) == TCO_LOCKED;
}

void pk_tco_halt(void)
{
	if (pk_test_halts_tco(pk_tco_armed()))
		pk_tco_write(0, 0, pk_tco_read(0, 0) | TCO_HALTED);
}

void pk_tco_run(void)
{
	if (pk_tco_armed())
		pk_tco_write(0, 0, armed);
}
