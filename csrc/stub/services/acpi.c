// SPDX-License-Identifier: Apache-2.0
/* The firmware's ACPI tables, which Linux does not run by, for who wants to know the machine. */
#include <common/acpi.h>
#include <pykexec/abi.h>
#include <stub/lib/acpi_tables.h>
#include <stub/lib/string.h>
#include <stub/lib/test.h>
#include <stub/services/acpi.h>

efi_status_t pk_acpi_table(struct pk_call *call)
{
	const struct pk_acpi_request *request = call->body;
	struct pk_acpi_reply reply = { 0 };
	const u8 *xsdt = pk_acpi_xsdt(), *table = NULL;
	u64 room, size = 0;

	pk_test_hang();
	if (call->capacity < sizeof(reply))
		return EFI_BUFFER_TOO_SMALL;
	if (!xsdt || pk_acpi_table_size(xsdt) < PK_ACPI_HEADER || pk_acpi_table_size(xsdt) > PK_ACPI_TABLE_MAX)
		return EFI_NOT_FOUND;
	reply.nr_tables = pk_acpi_nr_entries(xsdt);
	if (request->index < reply.nr_tables)
		table = pk_acpi_entry(xsdt, request->index);
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
