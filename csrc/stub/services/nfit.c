// SPDX-License-Identifier: Apache-2.0
/* Has the firmware announced a RAM disk to the operating system? EDK II's driver does not say when it could not. */
#include <common/nfit.h>
#include <stub/lib/acpi_tables.h>
#include <stub/services/nfit.h>

bool pk_nfit_announces(u64 start, u64 size)
{
	const void *table;
	u64 table_size;

	for (u32 n = 0; (table = pk_acpi_find("NFIT", n, &table_size)); n++)
		if (pk_nfit_has(table, table_size, start, size))
			return true;
	return false;
}
