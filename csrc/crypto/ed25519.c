// SPDX-License-Identifier: Apache-2.0
/* Signatures by Ed25519 (RFC 8032, 5.1) by libcrypto: verifying alone. */
#include <errno.h>

#include <openssl/evp.h>

#include <crypto/ed25519.h>
#include <crypto/fault.h>

int pk_ed25519_verify(const u8 *key, const u8 *message, u32 size, const u8 *signature)
{
	EVP_PKEY *owner = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, PK_ED25519_KEY_SIZE);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	int code = 0;

	/* It hashes by itself: no digest is named. */
	if (!owner || !context || EVP_DigestVerifyInit(context, NULL, NULL, NULL, owner) != 1)
		code = pk_fault(-EINVAL);
	else if (EVP_DigestVerify(context, signature, PK_ED25519_SIGNATURE_SIZE, message, size) != 1)
		code = pk_fault(-EBADMSG);
	EVP_MD_CTX_free(context);
	EVP_PKEY_free(owner);
	return code;
}
