/* SPDX-License-Identifier: Apache-2.0 */
/* Where a TCG event log ends, whose firmware tells only where its last entry begins. */
#ifndef PK_COMMON_EVENT_LOG_H
#define PK_COMMON_EVENT_LOG_H

#include <pykexec/types.h>

enum {
	PK_EVENT_LOG_MAX	= 16777216,	/* bytes: no log that makes sense is larger */
	PK_EVENT_MAX		= 1048576,	/* bytes of one entry's data */
};

/*
 * Bytes up to the end of the entry that begins at offset last, found by walking all entries
 * from the first: the log is well formed so far. capacity: what may be read; agile: the
 * crypto agile format, else the one of SHA-1. False: malformed, or no entry begins at last.
 */
bool pk_event_log_size(const u8 *log, u64 capacity, u64 last, bool agile, u64 *ret_size);

#endif
