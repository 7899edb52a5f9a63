// SPDX-License-Identifier: Apache-2.0
/*
 * A watchdog of the two registers that ACPI's WDRT describes; in AMD's chipsets with processors since
 * family 17h it is behind the power management registers (PPR for family 17h, model 18h, 9.2.6 and
 * 9.2.13).
 */
#include <common/watchdog.h>
#include <stub/gate/hardware.h>
#include <stub/gate/register.h>
#include <stub/gate/wdrt.h>
#include <stub/lib/acpi_tables.h>

enum {
	CONTROL_RUNS		= 1,
	CONTROL_FIRED		= 2,		/* cleared by writing it */
	CONTROL_ACTION		= 4,
	CONTROL_DISABLED	= 8,
	CONTROL_TRIGGER		= 0x80,
	CONTROL_STATE		= CONTROL_RUNS | CONTROL_ACTION | CONTROL_DISABLED,

	AMD_SMBUS		= 0x14 << 3,	/* bus 0 */
	AMD_SMBUS_ID		= 0x790b1022,
	PCI_REVISION		= 0x08,
	REVISION_MASK		= 0xff,
	REVISION_MIN		= 0x51,
	PM_DECODE_ENABLE	= 0xfed80300,
	WATCHDOG_ENABLED	= 0x80,
	WATCHDOG_CONTROL	= 0xfed80b00,
	WIDTH			= 4,
};

static struct pk_acpi_address control;
static u32 armed;	/* its state then; 0: it was not */

static struct pk_acpi_address memory(u64 address)
{
	return (struct pk_acpi_address){ .address = address, .space = PK_ACPI_MEMORY, .access = WIDTH };
}

static bool find_amd(struct pk_acpi_address *ret)
{
	struct pk_acpi_address decode = memory(PM_DECODE_ENABLE);

	if (pk_pci_read(AMD_SMBUS, 0) != AMD_SMBUS_ID ||
	    (pk_pci_read(AMD_SMBUS, PCI_REVISION) & REVISION_MASK) < REVISION_MIN)
		return false;
	if (!pk_register_is_there(&decode) || !(pk_register_read(&decode) & WATCHDOG_ENABLED))
		return false;
	*ret = memory(WATCHDOG_CONTROL);
	return true;
}

/* Its state where it runs, else 0. */
static u32 find(void)
{
	const void *table;
	u64 size;
	u32 state;

	table = pk_acpi_find("WDRT", 0, &size);
	if (!(table && pk_wdrt_control(table, size, &control)) && !find_amd(&control))
		return 0;
	if (!pk_register_is_there(&control))
		return 0;
	/* All ones, too, where nothing answers. */
	state = (u32)pk_wdrt_read(0, 0);
	return state & CONTROL_RUNS && !(state & CONTROL_DISABLED) ? state : 0;
}

bool pk_wdrt_armed(void)
{
	static bool is_known;

	if (!is_known)
		armed = find();
	is_known = true;
	return armed;
}

u64 pk_wdrt_read(u32 which, u32 index)
{
	(void)which;
	(void)index;
	return pk_register_read(&control) & CONTROL_STATE;
}

void pk_wdrt_write(u32 which, u32 index, u64 value)
{
	u32 now = pk_register_read(&control) & ~(u32)(CONTROL_FIRED | CONTROL_TRIGGER | CONTROL_STATE);

	(void)which;
	(void)index;
	pk_register_write(&control, now | (u32)value);
	if (value & CONTROL_RUNS)
		pk_register_write(&control, now | (u32)value | CONTROL_TRIGGER);
}

void pk_wdrt_halt(void)
{
	if (pk_wdrt_armed())
		pk_wdrt_write(0, 0, armed & ~(u32)CONTROL_RUNS);
}

void pk_wdrt_run(void)
{
	if (pk_wdrt_armed())
		pk_wdrt_write(0, 0, armed);
}
