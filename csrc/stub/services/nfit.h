/* SPDX-License-Identifier: Apache-2.0 */
/* What the firmware has announced to an operating system by its NFIT. */
#ifndef PK_STUB_NFIT_H
#define PK_STUB_NFIT_H

#include <efi/types.h>

/* Do the firmware's ACPI tables tell an operating system of this memory? */
bool pk_nfit_announces(u64 start, u64 size);

#endif
