/* SPDX-License-Identifier: Apache-2.0 */
/* What the firmware itself can read. */
#ifndef PK_STUB_MAPPED_H
#define PK_STUB_MAPPED_H

#include <pykexec/types.h>

/*
 * In the firmware's world: bytes from address on that its own page tables map where they are, up to
 * limit; 0 if it has address itself kept from being read, as guard pages are.
 */
u64 pk_mapped_bytes(u64 address, u64 limit);

#endif
