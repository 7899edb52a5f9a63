// SPDX-License-Identifier: Apache-2.0
/* The firmware's own ACPI tables. */
#include <common/acpi.h>
#include <stub/lib/acpi_tables.h>
#include <stub/lib/string.h>
#include <stub/lib/stub.h>

enum { RSDP_XSDT = 24 };	/* ACPI 6.5, 5.2.5.3 */

static const u8 *address_at(const u8 *from)
{
	u64 address;

	memcpy(&address, from, sizeof(address));
	return (const u8 *)address;
}

const void *pk_configuration_table(const efi_guid_t *guid)
{
	for (u64 i = 0; i < pk_st->nr_tables; i++)
		if (pk_guid_equal(&pk_st->tables[i].vendor_guid, guid))
			return (const void *)pk_st->tables[i].vendor_table;
	return NULL;
}

const u8 *pk_acpi_xsdt(void)
{
	const u8 *rsdp = pk_configuration_table(&efi_guid_acpi20_table);

	return rsdp ? address_at(rsdp + RSDP_XSDT) : NULL;
}

u32 pk_acpi_nr_entries(const u8 *xsdt)
{
	u32 size = pk_acpi_table_size(xsdt);

	return size < PK_ACPI_HEADER ? 0 : (size - PK_ACPI_HEADER) / sizeof(u64);
}

const u8 *pk_acpi_entry(const u8 *xsdt, u32 n)
{
	return address_at(xsdt + PK_ACPI_HEADER + n * sizeof(u64));
}

const void *pk_acpi_find(const char *signature, u32 n, u64 *ret_size)
{
	const u8 *xsdt = pk_acpi_xsdt();
	u32 nr = xsdt ? pk_acpi_nr_entries(xsdt) : 0;

	for (u32 i = 0; i < nr; i++) {
		const u8 *table = pk_acpi_entry(xsdt, i);

		if (table && !memcmp(table, signature, 4) && !n--) {
			*ret_size = pk_acpi_table_size(table);
			return table;
		}
	}
	return NULL;
}
