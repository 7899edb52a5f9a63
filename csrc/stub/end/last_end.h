/* SPDX-License-Identifier: Apache-2.0 */
/* Why it ended, for the next start: kept in a variable, since no console may have been there to say it. */
#ifndef PK_STUB_LAST_END_H
#define PK_STUB_LAST_END_H

#include <efi/types.h>
#include <pykexec/abi.h>

/* Another Linux is about to start, which has said nothing yet. */
void pk_last_end_init(void);
/* What it says of its end; what is too long is cut off. */
void pk_last_end_reason(const void *text, u64 size);
/* This end is for good: keep it if something was said of it, or went wrong. Flash wears, so what is there stays. */
void pk_last_end_keep(enum pk_stage stage, efi_status_t status, enum pk_action action);

#endif
