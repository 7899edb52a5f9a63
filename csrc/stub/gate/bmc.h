/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The BMC's watchdog (IPMI 2.0, 27), should the firmware have armed it. A BMC takes milliseconds for
 * a word: it is stopped when Linux begins and has its whole time when Linux has ended, not in between.
 */
#ifndef PK_STUB_BMC_H
#define PK_STUB_BMC_H

#include <pykexec/types.h>

bool pk_bmc_armed(void);

/* As Get Watchdog Timer begins: use, actions, pre-timeout, countdown in the last two of six bytes; ~0: no answer. */
u64 pk_bmc_read(u32 which, u32 index);
void pk_bmc_write(u32 which, u32 index, u64 value);

/* Says so where it goes on. */
void pk_bmc_halt(void);

/* There is a BMC that cannot be asked: said. */
void pk_bmc_tell(void);

#endif
