/* SPDX-License-Identifier: Apache-2.0 */
/* The watchdog that the firmware's ACPI tables describe in actions (WDAT), should it have armed it. */
#ifndef PK_STUB_WDAT_H
#define PK_STUB_WDAT_H

#include <pykexec/types.h>

bool pk_wdat_armed(void);

/* 1: it runs; writing gives it its whole time. */
u64 pk_wdat_read(u32 which, u32 index);
void pk_wdat_write(u32 which, u32 index, u64 value);

/* It cannot be stopped: tried. */
bool pk_wdat_runs_on(void);

void pk_wdat_halt(void);
void pk_wdat_run(void);

#endif
