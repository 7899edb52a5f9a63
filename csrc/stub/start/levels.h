/* SPDX-License-Identifier: Apache-2.0 */
/* How many levels the page tables have, which is said once for both worlds. */
#ifndef PK_STUB_LEVELS_H
#define PK_STUB_LEVELS_H

#include <efi/types.h>

/* Can the kernel have as many as the firmware? EFI_UNSUPPORTED, with the reason on the console. */
efi_status_t pk_levels_check(void);

/* What Linux must be told to have as many, with a space before it, or "". */
const char *pk_levels_parameter(void);

#endif
