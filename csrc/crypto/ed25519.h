/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures by Ed25519 (RFC 8032, 5.1) by libcrypto: verifying alone. */
#ifndef PK_CRYPTO_ED25519_H
#define PK_CRYPTO_ED25519_H

#include <pykexec/types.h>

enum {
	PK_ED25519_KEY_SIZE = 32,
	PK_ED25519_SIGNATURE_SIZE = 64,
};

/* Is it the signature of message by the owner of key, a public one? -EBADMSG if not, -EINVAL for no key. */
int pk_ed25519_verify(const u8 *key, const u8 *message, u32 size, const u8 *signature);

#endif
