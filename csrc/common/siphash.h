/* SPDX-License-Identifier: Apache-2.0 */
/* SipHash-2-4 (Aumasson, Bernstein 2012): a short digest that nobody foresees without its key. */
#ifndef PK_COMMON_SIPHASH_H
#define PK_COMMON_SIPHASH_H

#include <pykexec/types.h>

struct pk_siphash_key {
	u64 k0;
	u64 k1;
};

u64 pk_siphash(const struct pk_siphash_key *key, const void *data, u64 size);

#endif
