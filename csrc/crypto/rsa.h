/* SPDX-License-Identifier: Apache-2.0 */
/* RSA encryption with OAEP (RFC 8017, 7.1) by libcrypto. */
#ifndef PK_CRYPTO_RSA_H
#define PK_CRYPTO_RSA_H

#include <pykexec/types.h>

/*
 * out has modulus_size bytes. hash is that of OAEP and MGF1, label is hashed as it is. -EINVAL for
 * an unknown hash, a key that is none, or data that does not fit.
 */
int pk_rsa_oaep_encrypt(const u8 *modulus, u32 modulus_size, u32 exponent, const char *hash, const u8 *label,
			u32 label_size, const u8 *data, u32 size, u8 *out);

#endif
