/* SPDX-License-Identifier: Apache-2.0 */
/* ACPI tables as bytes (ACPI 6.5, 5.2.6). */
#ifndef PK_COMMON_ACPI_H
#define PK_COMMON_ACPI_H

#include <pykexec/types.h>

enum {
	PK_ACPI_HEADER		= 36,		/* bytes that lead every table but the FACS */
	PK_ACPI_TABLE_MAX	= 8388608,	/* bytes: no table that makes sense is larger */
};

/* Where a register is: a Generic Address Structure (5.2.3.2). */
struct pk_acpi_address {
	u64 address;
	u8 space;		/* enum pk_acpi_space */
	u8 bits;		/* of the field in it, from bit first on */
	u8 first;
	u8 access;		/* bytes read or written at once; 0: the table does not say */
};

enum pk_acpi_space {
	PK_ACPI_MEMORY		= 0,
	PK_ACPI_IO		= 1,
	PK_ACPI_ADDRESS_SIZE	= 12,	/* bytes of the structure in a table */
};

void pk_acpi_address(const void *data, struct pk_acpi_address *ret);

/* What the table at data says that it has, in bytes. */
u32 pk_acpi_table_size(const void *data);

/* Is it a table of just size bytes whose sum is right? */
bool pk_acpi_table_is_sound(const void *data, u64 size);

#endif
