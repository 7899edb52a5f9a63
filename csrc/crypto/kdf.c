// SPDX-License-Identifier: Apache-2.0
/* Key derivation by libcrypto. */
#include <errno.h>

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
