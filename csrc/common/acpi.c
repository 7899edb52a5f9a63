// SPDX-License-Identifier: Apache-2.0
/* ACPI tables as bytes (ACPI 6.5, 5.2.6). */
#include <common/acpi.h>
#include <common/mem.h>

enum { LENGTH_OFFSET = 4 };

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
