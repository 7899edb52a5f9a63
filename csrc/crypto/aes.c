// SPDX-License-Identifier: Apache-2.0
/* AES by libcrypto: what the TPM's sessions (CFB), JWE (GCM) and BitLocker (CCM) need. */
#include <errno.h>
#include <limits.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <crypto/aes.h>
#include <crypto/fault.h>

static const EVP_CIPHER *cfb(u32 key_size)
{
	return key_size == 16 ? EVP_aes_128_cfb128() : key_size == 32 ? EVP_aes_256_cfb128() : NULL;
}

static const EVP_CIPHER *gcm(u32 key_size)
{
	return key_size == 16 ? EVP_aes_128_gcm() : key_size == 32 ? EVP_aes_256_gcm() : NULL;
}

int pk_aes_cfb(const u8 *key, u32 key_size, const u8 *iv, bool encrypt, const u8 *data, u32 size, u8 *out)
{
	const EVP_CIPHER *cipher = cfb(key_size);
	EVP_CIPHER_CTX *context;
	int done, code = 0;

	if (!cipher || size > INT_MAX)
		return -EINVAL;
	context = EVP_CIPHER_CTX_new();
	if (!context || EVP_CipherInit_ex(context, cipher, NULL, key, iv, encrypt) != 1 ||
	    EVP_CipherUpdate(context, out, &done, data, size) != 1 || done != (int)size)
		code = pk_fault(-EIO);
	EVP_CIPHER_CTX_free(context);
	return code;
}

int pk_aes_gcm_open(const u8 *key, u32 key_size, const u8 *iv, const u8 *aad, u32 aad_size, const u8 *data,
		    u32 size, const u8 *tag, u32 tag_size, u8 *out)
{
	const EVP_CIPHER *cipher = gcm(key_size);
	EVP_CIPHER_CTX *context;
	int done, code = 0;
	u8 rest[PK_AES_BLOCK_SIZE];

	if (!cipher || size > INT_MAX || aad_size > INT_MAX ||
	    (tag_size != PK_GCM_TAG_SIZE && tag_size != PK_GCM_SHORT_TAG_SIZE))
		return -EINVAL;
	context = EVP_CIPHER_CTX_new();
	if (!context || EVP_DecryptInit_ex(context, cipher, NULL, key, iv) != 1 ||
	    EVP_DecryptUpdate(context, NULL, &done, aad, aad_size) != 1 ||
	    EVP_DecryptUpdate(context, out, &done, data, size) != 1 ||
	    EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, (int)tag_size, (void *)tag) != 1)
		code = pk_fault(-EIO);
	else if (EVP_DecryptFinal_ex(context, rest, &done) != 1)
		code = pk_fault(-EBADMSG);
	EVP_CIPHER_CTX_free(context);
	if (code)
		OPENSSL_cleanse(out, size);
	return code;
}

int pk_aes_ccm_open(const u8 *key, u32 key_size, const u8 *iv, const u8 *data, u32 size, const u8 *tag, u8 *out)
{
	EVP_CIPHER_CTX *context;
	int done, code = 0;

	if (key_size != 32 || !size || size > INT_MAX)
		return -EINVAL;
	context = EVP_CIPHER_CTX_new();
	/* The tag and the length of the nonce are part of what is computed: before key and nonce. */
	if (!context || EVP_DecryptInit_ex(context, EVP_aes_256_ccm(), NULL, NULL, NULL) != 1 ||
	    EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_CCM_SET_IVLEN, PK_CCM_IV_SIZE, NULL) != 1 ||
	    EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_CCM_SET_TAG, PK_CCM_TAG_SIZE, (void *)tag) != 1 ||
	    EVP_DecryptInit_ex(context, NULL, NULL, key, iv) != 1)
		code = pk_fault(-EIO);
	else if (EVP_DecryptUpdate(context, out, &done, data, size) != 1)
		code = pk_fault(-EBADMSG);
	EVP_CIPHER_CTX_free(context);
	if (code)
		OPENSSL_cleanse(out, size);
	return code;
}
