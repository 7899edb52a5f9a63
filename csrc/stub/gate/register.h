/* SPDX-License-Identifier: Apache-2.0 */
/* Registers that a table of the firmware's names; all in the firmware's world. */
#ifndef PK_STUB_REGISTER_H
#define PK_STUB_REGISTER_H

#include <common/acpi.h>

/* A port, or memory that the firmware itself reaches. */
bool pk_register_is_there(const struct pk_acpi_address *where);

/* By the access that where says, of 1, 2 or 4 bytes. */
u32 pk_register_read(const struct pk_acpi_address *where);
void pk_register_write(const struct pk_acpi_address *where, u32 value);

#endif
