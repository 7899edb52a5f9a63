/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of the firmware itself, ACPI's above all, of which Linux has none. */
#ifndef PK_STUB_ACPI_TABLES_H
#define PK_STUB_ACPI_TABLES_H

#include <efi/types.h>

/* What the firmware's configuration table has under this GUID; NULL: nothing. */
const void *pk_configuration_table(const efi_guid_t *guid);

/* What lists the others; NULL where the firmware has none, or only that of ACPI 1.0. */
const u8 *pk_acpi_xsdt(void);

/* How many it lists. */
u32 pk_acpi_nr_entries(const u8 *xsdt);

/* Which of the listed tables has number n, which is within its size; NULL where the firmware listed none. */
const u8 *pk_acpi_entry(const u8 *xsdt, u32 n);

/* Table number n of those with this signature of four letters, and its size; NULL behind the last. */
const void *pk_acpi_find(const char *signature, u32 n, u64 *ret_size);

#endif
