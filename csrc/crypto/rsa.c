// SPDX-License-Identifier: Apache-2.0
/* RSA encryption with OAEP (RFC 8017, 7.1) by libcrypto. */
#include <errno.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include <crypto/fault.h>
#include <crypto/rsa.h>

static EVP_PKEY *public_key(const u8 *modulus, u32 modulus_size, u32 exponent)
{
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	BIGNUM *n = BN_bin2bn(modulus, modulus_size, NULL), *e = BN_new();
	OSSL_PARAM *parameters = NULL;
	EVP_PKEY *key = NULL;

	if (!builder || !context || !n || !e || BN_set_word(e, exponent) != 1 ||
	    OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) != 1 ||
	    OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e) != 1)
		goto out;
	parameters = OSSL_PARAM_BLD_to_param(builder);
	if (!parameters || EVP_PKEY_fromdata_init(context) != 1 ||
	    EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1)
		key = NULL;
out:
	OSSL_PARAM_free(parameters);
	BN_free(e);
	BN_free(n);
	EVP_PKEY_CTX_free(context);
	OSSL_PARAM_BLD_free(builder);
	return key;
}

/* The context takes the label's copy. */
static bool set_label(EVP_PKEY_CTX *context, const u8 *label, u32 size)
{
	void *copy;

	if (!size)
		return true;
	copy = OPENSSL_memdup(label, size);
	if (copy && EVP_PKEY_CTX_set0_rsa_oaep_label(context, copy, size) == 1)
		return true;
	OPENSSL_free(copy);
	return false;
}

int pk_rsa_oaep_encrypt(const u8 *modulus, u32 modulus_size, u32 exponent, const char *hash, const u8 *label,
			u32 label_size, const u8 *data, u32 size, u8 *out)
{
	const EVP_MD *digest = EVP_get_digestbyname(hash);
	EVP_PKEY *key = public_key(modulus, modulus_size, exponent);
	EVP_PKEY_CTX *context = key ? EVP_PKEY_CTX_new(key, NULL) : NULL;
	size_t done = modulus_size;
	int code = 0;

	/* MGF1 takes the same hash unless told otherwise. */
	if (!digest || !context || EVP_PKEY_encrypt_init(context) != 1 ||
	    EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) != 1 ||
	    EVP_PKEY_CTX_set_rsa_oaep_md(context, digest) != 1 || !set_label(context, label, label_size) ||
	    EVP_PKEY_encrypt(context, out, &done, data, size) != 1 || done != modulus_size)
		code = pk_fault(-EINVAL);
	EVP_PKEY_CTX_free(context);
	EVP_PKEY_free(key);
	return code;
}
