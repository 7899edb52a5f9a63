/* SPDX-License-Identifier: Apache-2.0 */
/* The ACPI tables that Linux sees. */
#ifndef PK_STUB_ACPI_H
#define PK_STUB_ACPI_H

/* Private RSDP for Linux: hardware-reduced, one processor. */
void *pk_acpi_rsdp(void);

#endif
