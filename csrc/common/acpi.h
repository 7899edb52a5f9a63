/* SPDX-License-Identifier: Apache-2.0 */
/* ACPI tables as bytes (ACPI 6.5, 5.2.6). */
#ifndef PK_COMMON_ACPI_H
#define PK_COMMON_ACPI_H

#include <pykexec/types.h>

enum {
	PK_ACPI_HEADER		= 36,		/* bytes that lead every table but the FACS */
	PK_ACPI_TABLE_MAX	= 8388608,	/* bytes: no table that makes sense is larger */
};

/* What the table at data says that it has, in bytes. */
u32 pk_acpi_table_size(const void *data);

/* Is it a table of just size bytes whose sum is right? */
bool pk_acpi_table_is_sound(const void *data, u64 size);

#endif
