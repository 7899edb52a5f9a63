/* SPDX-License-Identifier: Apache-2.0 */
/* The firmware's own ACPI tables, of which Linux has none. */
#ifndef PK_STUB_ACPI_TABLES_H
#define PK_STUB_ACPI_TABLES_H

#include <efi/types.h>

/* Table number n of those with this signature of four letters, and its size; NULL behind the last. */
const void *pk_acpi_find(const char *signature, u32 n, u64 *ret_size);

#endif
