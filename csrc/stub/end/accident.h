/* SPDX-License-Identifier: Apache-2.0 */
/* How a machine was reset when the firmware could not be gone on with: kept for the next start. */
#ifndef PK_STUB_ACCIDENT_H
#define PK_STUB_ACCIDENT_H

#include <pykexec/abi.h>

/* The last one's, all zero if there was none since the start before this one. */
extern struct pk_accident pk_accident;

/* Read it, say it, forget it: the next start has nothing to say. */
void pk_accident_recall(void);

/* A call of the gate took too long. In the firmware's world. */
void pk_accident_hang(u32 operation) __attribute__((noreturn));

/* Linux was ended by pk_fault, and the firmware's context is back. */
void pk_accident_fault(void) __attribute__((noreturn));

#endif
