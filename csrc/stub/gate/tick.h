/* SPDX-License-Identifier: Apache-2.0 */
/* The firmware's tick: it stands still while Linux has the machine, and goes on in every full switch. */
#ifndef PK_STUB_TICK_H
#define PK_STUB_TICK_H

#include <pykexec/types.h>

/* All in the firmware's world. */
void pk_tick_init(void);

/* Before anything is masked; interrupts are off afterwards. */
void pk_tick_stop(void);

/* When all else is the firmware's again; interrupts are off afterwards. */
void pk_tick_start(void);

/*
 * Interrupts off, every source masked, away for longer than a period: what is latched now is
 * what the firmware's timer raises all the same.
 */
void pk_tick_learn(void);

#endif
