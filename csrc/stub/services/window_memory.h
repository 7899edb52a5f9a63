/* SPDX-License-Identifier: Apache-2.0 */
/* The window's memory, and whose it is. */
#ifndef PK_STUB_WINDOW_MEMORY_H
#define PK_STUB_WINDOW_MEMORY_H

#include <stub/lib/call.h>

/* Take memory for the window, PK_WINDOW_SIZE or as much more as is wanted; none is no error. */
void pk_window_allocate(u64 mib);
void pk_window_release(void);
/* For another Linux: closed, its header new, its channels empty. */
void pk_window_prepare(void);
/* Linux has shown that it sets the window aside: until then it may be ordinary memory, with anything in it. */
bool pk_window_is_open(void);
efi_status_t pk_window_claim(struct pk_call *call);
/* Data has passed through up to this offset. */
void pk_window_used(u64 end);
/* A disk or a NIC has come: Linux looks at the header to see. */
void pk_window_tell(void);
/* Linux has ended: sectors and frames that passed through are nobody's business any more. */
void pk_window_wipe(void);
/* All that Linux can write to. */
void pk_window_wipe_all(void);

#endif
