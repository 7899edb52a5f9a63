/* SPDX-License-Identifier: Apache-2.0 */
/* Which handles' drivers wait for timer events. */
#ifndef PK_STUB_TIMERS_H
#define PK_STUB_TIMERS_H

#include <efi/types.h>

/* Do the drivers behind handle wait for timer events? Then only a full switch reaches them. */
bool pk_handle_needs_timers(u32 handle);
/* From Linux' world, where only what was found before is known. */
bool pk_handle_is_known_to_poll(u32 handle);

#endif
