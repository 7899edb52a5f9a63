// SPDX-License-Identifier: Apache-2.0
/* Registers that a table of the firmware's names. */
#include <common/page_table.h>
#include <stub/gate/register.h>
#include <stub/lib/cpu.h>
#include <stub/lib/io.h>

enum { PORT_MAX = 0xffff };

static const u64 *read_table(void *context, u64 address)
{
	(void)context;
	return (const u64 *)address;
}

/* As it is, for device memory has no other way. */
static bool is_mapped(u64 address)
{
	u32 levels = pk_cpu_read(PK_CPU_CR4) & PK_CR4_LA57 ? PK_FIVE_LEVELS : PK_FOUR_LEVELS;
	u64 physical, entry, size;

	return pk_page_table_walk(pk_cpu_read(PK_CPU_CR3), levels, address, read_table, NULL, &physical, &entry,
				  &size) && physical == address;
}

bool pk_register_is_there(const struct pk_acpi_address *where)
{
	u64 last = where->address + where->access - 1;

	if (where->space == PK_ACPI_IO)
		return where->address && last >= where->address && last <= PORT_MAX;
	return where->space == PK_ACPI_MEMORY && !(where->address % where->access) && is_mapped(where->address);
}

u32 pk_register_read(const struct pk_acpi_address *where)
{
	bool is_port = where->space == PK_ACPI_IO;
	u16 port = (u16)where->address;

	switch (where->access) {
	case 1: return is_port ? pk_inb(port) : *(volatile u8 *)where->address;
	case 2: return is_port ? pk_inw(port) : *(volatile u16 *)where->address;
	default: return is_port ? pk_inl(port) : pk_mmio_read(where->address);
	}
}

void pk_register_write(const struct pk_acpi_address *where, u32 value)
{
	bool is_port = where->space == PK_ACPI_IO;
	u16 port = (u16)where->address;

	switch (where->access) {
	case 1:
		if (is_port)
			pk_outb(port, (u8)value);
		else
			*(volatile u8 *)where->address = (u8)value;
		break;
	case 2:
		if (is_port)
			pk_outw(port, (u16)value);
		else
			*(volatile u16 *)where->address = (u16)value;
		break;
	default:
		if (is_port)
			pk_outl(port, value);
		else
			pk_mmio_write(where->address, value);
	}
}
