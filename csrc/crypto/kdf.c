// SPDX-License-Identifier: Apache-2.0
/* Key derivation by libcrypto. */
#include <errno.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <crypto/fault.h>
#include <crypto/kdf.h>

int pk_concat_kdf(const u8 *shared, u32 shared_size, const u8 *info, u32 info_size, u8 *out)
{
	static const u8 counter[] = { 0, 0, 0, 1 };
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	int code = 0;

	if (!context || EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1 ||
	    EVP_DigestUpdate(context, counter, sizeof(counter)) != 1 ||
	    EVP_DigestUpdate(context, shared, shared_size) != 1 || EVP_DigestUpdate(context, info, info_size) != 1 ||
	    EVP_DigestFinal_ex(context, out, NULL) != 1)
		code = pk_fault(-EIO);
	EVP_MD_CTX_free(context);
	return code;
}

enum { STRETCH_ROUNDS = 1 << 20 };

int pk_bitlocker_stretch(const u8 *digest, const u8 *salt, u8 *out)
{
	struct {
		u8 last[PK_STRETCHED_SIZE];
		u8 first[PK_STRETCHED_SIZE];
		u8 salt[PK_STRETCH_SALT_SIZE];
		u64 count;
	} state = { 0 };
	/* Fetched once: a million times it would cost more than the digests. */
	EVP_MD *sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	int code = sha256 && context ? 0 : -ENOMEM;

	memcpy(state.first, digest, sizeof(state.first));
	memcpy(state.salt, salt, sizeof(state.salt));
	for (; !code && state.count < STRETCH_ROUNDS; state.count++)
		if (EVP_DigestInit_ex(context, sha256, NULL) != 1 ||
		    EVP_DigestUpdate(context, &state, sizeof(state)) != 1 ||
		    EVP_DigestFinal_ex(context, state.last, NULL) != 1)
			code = -EIO;
	if (!code)
		memcpy(out, state.last, sizeof(state.last));
	OPENSSL_cleanse(&state, sizeof(state));
	EVP_MD_CTX_free(context);
	EVP_MD_free(sha256);
	return pk_fault(code);
}
