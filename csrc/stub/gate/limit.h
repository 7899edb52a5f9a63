/* SPDX-License-Identifier: Apache-2.0 */
/* How long the firmware may take for one call of the gate. */
#ifndef PK_STUB_LIMIT_H
#define PK_STUB_LIMIT_H

#include <efi/types.h>

/*
 * From now on expired(operation) is called, in the firmware's world, when a full switch takes longer
 * than so many seconds of the firmware's time; 0: never.
 */
efi_status_t pk_limit_begin(u32 seconds, void (*expired)(u32 operation));
void pk_limit_end(void);

/* A full switch has begun; it is over, or may take as long as it likes: a started image has another watchdog. */
void pk_limit_start(void);
void pk_limit_stop(void);

/* What is done in it: an operation's number. */
void pk_limit_note(u32 operation);

#endif
