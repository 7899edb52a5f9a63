// SPDX-License-Identifier: Apache-2.0
/* The firmware's own ACPI tables. */
#include <stub/lib/acpi_tables.h>
#include <stub/lib/string.h>
#include <stub/lib/stub.h>

enum {
	RSDP_XSDT	= 24,	/* ACPI 6.5, 5.2.5.3 */
	TABLE_LENGTH	= 4,
	TABLE_HEADER	= 36,	/* 5.2.6 */
};

static u32 length_of(const u8 *table)
{
	u32 length;

	memcpy(&length, table + TABLE_LENGTH, sizeof(length));
	return length;
}

static const u8 *address_at(const u8 *from)
{
	u64 address;

	memcpy(&address, from, sizeof(address));
	return (const u8 *)address;
}

const void *pk_acpi_find(const char *signature, u32 n, u64 *ret_size)
{
	const u8 *xsdt = NULL;

	for (u64 i = 0; i < pk_st->nr_tables; i++)
		if (pk_guid_equal(&pk_st->tables[i].vendor_guid, &efi_guid_acpi20_table))
			xsdt = address_at((const u8 *)pk_st->tables[i].vendor_table + RSDP_XSDT);
	for (u64 at = TABLE_HEADER; xsdt && at + sizeof(u64) <= length_of(xsdt); at += sizeof(u64)) {
		const u8 *table = address_at(xsdt + at);

		if (table && !memcmp(table, signature, 4) && !n--) {
			*ret_size = length_of(table);
			return table;
		}
	}
	return NULL;
}
