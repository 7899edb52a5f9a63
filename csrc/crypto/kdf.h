/* SPDX-License-Identifier: Apache-2.0 */
/* Key derivation by libcrypto. */
#ifndef PK_CRYPTO_KDF_H
#define PK_CRYPTO_KDF_H

#include <pykexec/types.h>

enum { PK_CONCAT_KDF_SIZE = 32 };

/*
 * Concatenation KDF (SP 800-56A, 5.8.1) with SHA-256, as RFC 7518, 4.6.2, uses it: one round of it,
 * PK_CONCAT_KDF_SIZE bytes at out. 0 or -errno.
 */
int pk_concat_kdf(const u8 *shared, u32 shared_size, const u8 *info, u32 info_size, u8 *out);

#endif
