// SPDX-License-Identifier: Apache-2.0
/* ACPI tables as bytes (ACPI 6.5, 5.2.6). */
#include <common/acpi.h>
#include <common/mem.h>

enum { LENGTH_OFFSET = 4, ADDRESS_OFFSET = 4, ACCESS_MAX = 4 };

void pk_acpi_address(const void *data, struct pk_acpi_address *ret)
{
	const u8 *bytes = data;

	*ret = (struct pk_acpi_address){ .space = bytes[0], .bits = bytes[1], .first = bytes[2] };
	if (bytes[3] && bytes[3] <= ACCESS_MAX)
		ret->access = (u8)(1 << (bytes[3] - 1));
	memcpy(&ret->address, bytes + ADDRESS_OFFSET, sizeof(ret->address));
}

u32 pk_acpi_table_size(const void *data)
{
	u32 size;

	memcpy(&size, (const u8 *)data + LENGTH_OFFSET, sizeof(size));
	return size;
}

bool pk_acpi_table_is_sound(const void *data, u64 size)
{
	const u8 *bytes = data;
	u8 sum = 0;

	if (size < PK_ACPI_HEADER || size > PK_ACPI_TABLE_MAX || pk_acpi_table_size(data) != size)
		return false;
	for (u64 i = 0; i < size; i++)
		sum = (u8)(sum + bytes[i]);
	return !sum;
}
