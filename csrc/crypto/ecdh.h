/* SPDX-License-Identifier: Apache-2.0 */
/* Ephemeral Diffie-Hellman on NIST's curves (SP 800-56A) by libcrypto; each gives 0 or -errno. */
#ifndef PK_CRYPTO_ECDH_H
#define PK_CRYPTO_ECDH_H

#include <pykexec/types.h>

enum { PK_ECDH_SIZE_MAX = 48 };

struct pk_ecdh;

/* A new key on "P-256" or "P-384"; -EINVAL for any other curve. */
int pk_ecdh_generate(const char *curve, struct pk_ecdh **ret);

void pk_ecdh_free(struct pk_ecdh *key);

/* Bytes of a coordinate. */
u32 pk_ecdh_size(const struct pk_ecdh *key);

/* The public key, big endian. */
int pk_ecdh_public(const struct pk_ecdh *key, u8 *x, u8 *y);

/* X of the point shared with the owner of (x, y); -EINVAL if that is no point of the curve. */
int pk_ecdh_derive(const struct pk_ecdh *key, const u8 *x, const u8 *y, u8 *out);

#endif
