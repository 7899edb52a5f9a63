// SPDX-License-Identifier: Apache-2.0
/* The firmware's ACPI tables, which Linux does not run by, for who wants to know the machine. */
#include <common/acpi.h>
#include <stub/lib/string.h>
#include <stub/lib/stub.h>
#include <stub/lib/test.h>
#include <stub/services/acpi_tables.h>

enum { RSDP_XSDT = 24 };	/* ACPI 6.5, 5.2.5.3 */

static const u8 *address_at(const u8 *from)
{
	u64 address;

	memcpy(&address, from, sizeof(address));
	return (const u8 *)address;
}

/* NULL where the firmware has none, or only that of ACPI 1.0. */
static const u8 *find_xsdt(void)
{
	for (u64 i = 0; i < pk_st->nr_tables; i++)
		if (pk_guid_equal(&pk_st->tables[i].vendor_guid, &efi_guid_acpi20_table))
			return address_at((const u8 *)pk_st->tables[i].vendor_table + RSDP_XSDT);
	return NULL;
}

efi_status_t pk_acpi_table(struct pk_call *call)
{
	const struct pk_acpi_request *request = call->body;
	struct pk_acpi_reply reply = { 0 };
	const u8 *xsdt = find_xsdt(), *table = NULL;
	u64 room, size = 0;

	pk_test_hang();
	if (call->capacity < sizeof(reply))
		return EFI_BUFFER_TOO_SMALL;
	if (!xsdt || pk_acpi_table_size(xsdt) < PK_ACPI_HEADER || pk_acpi_table_size(xsdt) > PK_ACPI_TABLE_MAX)
		return EFI_NOT_FOUND;
	reply.nr_tables = (u32)((pk_acpi_table_size(xsdt) - PK_ACPI_HEADER) / sizeof(u64));
	if (request->index < reply.nr_tables)
		table = address_at(xsdt + PK_ACPI_HEADER + request->index * sizeof(u64));
	if (table)
		reply.size = pk_acpi_table_size(table);
	if (reply.size > PK_ACPI_TABLE_MAX)
		return EFI_VOLUME_CORRUPTED;
	if (request->offset < reply.size)
		size = reply.size - request->offset;
	room = call->capacity - sizeof(reply);
	if (size > room)
		size = room;
	memcpy(call->answer, &reply, sizeof(reply));
	if (size)
		memcpy((u8 *)call->answer + sizeof(reply), table + request->offset, size);
	call->answered = sizeof(reply) + size;
	return EFI_SUCCESS;
}
