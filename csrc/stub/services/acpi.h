/* SPDX-License-Identifier: Apache-2.0 */
/* The firmware's ACPI tables, which Linux does not run by, for who wants to know the machine. */
#ifndef PK_STUB_SERVICES_ACPI_H
#define PK_STUB_SERVICES_ACPI_H

#include <stub/lib/call.h>

/* body: struct pk_acpi_request; out: struct pk_acpi_reply and the table's bytes from there on. */
efi_status_t pk_acpi_table(struct pk_call *call);

#endif
