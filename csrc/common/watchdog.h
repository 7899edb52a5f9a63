/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI tables that describe a watchdog: WDAT, the actions that its vendor has put into words, and the
 * older WDRT, whose two registers are always the same (Microsoft, "Hardware Watchdog Timers Design
 * Specification", "Watchdog Action Table").
 */
#ifndef PK_COMMON_WATCHDOG_H
#define PK_COMMON_WATCHDOG_H

#include <common/acpi.h>

enum pk_wdat_action {
	PK_WDAT_RESET		= 1,	/* all of its time again */
	PK_WDAT_IS_RUNNING	= 8,
	PK_WDAT_RUN		= 9,
	PK_WDAT_STOP		= 11,
};

enum pk_wdat_instruction {
	PK_WDAT_READ_VALUE	= 0,	/* is the field of this value? */
	PK_WDAT_READ_COUNTDOWN	= 1,
	PK_WDAT_WRITE_VALUE	= 2,
	PK_WDAT_WRITE_COUNTDOWN	= 3,
};

/* One access of an action. */
struct pk_wdat_step {
	struct pk_acpi_address where;	/* access is not 0 */
	enum pk_wdat_instruction instruction;
	bool preserves;			/* what else is in the register */
	u32 value;
	u32 mask;			/* of the field, once it is shifted to bit 0 */
};

/* Step n of what the table has for an action. False behind the last, and where the table is damaged or off. */
bool pk_wdat_step(const void *table, u64 size, enum pk_wdat_action action, u32 n, struct pk_wdat_step *ret);

/* Where the control register is. False where the table is damaged or names none in memory. */
bool pk_wdrt_control(const void *table, u64 size, struct pk_acpi_address *ret);

#endif
