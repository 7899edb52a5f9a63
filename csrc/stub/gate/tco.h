/* SPDX-License-Identifier: Apache-2.0 */
/* The chipset's watchdog (Intel's TCO timer), should the firmware have armed it. */
#ifndef PK_STUB_TCO_H
#define PK_STUB_TCO_H

#include <pykexec/types.h>

bool pk_tco_armed(void);

/* TCO1_CNT; writing one that lets it run gives it its whole time first. */
u64 pk_tco_read(u32 which, u32 index);
void pk_tco_write(u32 which, u32 index, u64 value);

/* It was locked while it ran: what switches there are have to do. */
bool pk_tco_runs_on(void);

/* Its time is the firmware's: it stands still while Linux has the machine. */
void pk_tco_halt(void);
void pk_tco_run(void);

#endif
