/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A watchdog of the two registers that ACPI's WDRT describes, should the firmware have armed it.
 * AMD's chipsets have it, with or without that table.
 */
#ifndef PK_STUB_WDRT_H
#define PK_STUB_WDRT_H

#include <pykexec/types.h>

bool pk_wdrt_armed(void);

/* What of the control register is state. */
u64 pk_wdrt_read(u32 which, u32 index);

/* Letting it run gives it its whole time. */
void pk_wdrt_write(u32 which, u32 index, u64 value);

void pk_wdrt_halt(void);
void pk_wdrt_run(void);

#endif
