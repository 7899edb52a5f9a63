/* SPDX-License-Identifier: Apache-2.0 */
/* How fast the TSC runs. */
#ifndef PK_STUB_CLOCK_H
#define PK_STUB_CLOCK_H

#include <efi/types.h>

u64 pk_tsc_khz(void);

#endif
