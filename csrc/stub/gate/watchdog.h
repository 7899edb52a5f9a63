/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's watchdogs that the firmware has armed. Who pats them is the firmware, by a timer event
 * that comes in full switches only: so they stand still in Linux' turn.
 */
#ifndef PK_STUB_WATCHDOG_H
#define PK_STUB_WATCHDOG_H

/* Those that cannot be stopped, or asked: said. */
void pk_watchdogs_tell(void);

/* Linux begins: the chipset's and the BMC's stand still. Boot services are there. */
void pk_watchdogs_stop(void);

/* A full switch is over; it begins: the chipset's, each with its whole time. The BMC's is not asked, it is slow. */
void pk_watchdogs_halt(void);
void pk_watchdogs_run(void);

#endif
