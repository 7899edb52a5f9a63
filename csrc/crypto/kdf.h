/* SPDX-License-Identifier: Apache-2.0 */
/* Key derivation by libcrypto. */
#ifndef PK_CRYPTO_KDF_H
#define PK_CRYPTO_KDF_H

#include <pykexec/types.h>

enum {
	PK_CONCAT_KDF_SIZE = 32,
	PK_STRETCHED_SIZE = 32,
	PK_STRETCH_SALT_SIZE = 16,
};

/*
 * Concatenation KDF (SP 800-56A, 5.8.1) with SHA-256, as RFC 7518, 4.6.2, uses it: one round of it,
 * PK_CONCAT_KDF_SIZE bytes at out. 0 or -errno.
 */
int pk_concat_kdf(const u8 *shared, u32 shared_size, const u8 *info, u32 info_size, u8 *out);

/*
 * BitLocker's way from what a person types to a key: 2^20 rounds of SHA-256 over the last digest, the
 * first one and the salt. digest and out have PK_STRETCHED_SIZE bytes. 0 or -errno.
 */
int pk_bitlocker_stretch(const u8 *digest, const u8 *salt, u8 *out);

#endif
