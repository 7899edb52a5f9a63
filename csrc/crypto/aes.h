/* SPDX-License-Identifier: Apache-2.0 */
/* AES by libcrypto: for the TPM's sessions (CFB), JWE (GCM) and BitLocker (CCM); each gives 0 or -errno. */
#ifndef PK_CRYPTO_AES_H
#define PK_CRYPTO_AES_H

#include <pykexec/types.h>

enum {
	PK_AES_BLOCK_SIZE = 16,
	PK_GCM_IV_SIZE = 12,
	PK_GCM_TAG_SIZE = 16,
	PK_GCM_SHORT_TAG_SIZE = 8,
	PK_CCM_IV_SIZE = 12,
	PK_CCM_TAG_SIZE = 16,
};

/* CFB with whole blocks (SP 800-38A, 6.3); -EINVAL for a key that is not of 16 or 32 bytes. */
int pk_aes_cfb(const u8 *key, u32 key_size, const u8 *iv, bool encrypt, const u8 *data, u32 size, u8 *out);

/*
 * GCM decryption (SP 800-38D, 7.2) with a key of 16 or 32 bytes and a tag of one of both sizes.
 * -EBADMSG if the tag is not right: then out holds zeros. out may be data.
 */
int pk_aes_gcm_open(const u8 *key, u32 key_size, const u8 *iv, const u8 *aad, u32 aad_size, const u8 *data,
		    u32 size, const u8 *tag, u32 tag_size, u8 *out);

/*
 * CCM decryption (SP 800-38C, 6.2) with a key of 32 bytes and nothing that is authenticated alone, as
 * BitLocker has it. -EBADMSG if the tag is not right: then out holds zeros.
 */
int pk_aes_ccm_open(const u8 *key, u32 key_size, const u8 *iv, const u8 *data, u32 size, const u8 *tag, u8 *out);

#endif
