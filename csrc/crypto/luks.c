// SPDX-License-Identifier: Apache-2.0
/* Does a passphrase open a key slot of LUKS2? By libcrypto. */
#include <errno.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <crypto/fault.h>
#include <crypto/luks.h>

static int derive(const struct pk_luks_kdf *kdf, const u8 *secret, u32 size, u8 *out, u32 out_size)
{
	EVP_MD *hash = EVP_MD_fetch(NULL, kdf->hash, NULL);
	int code = -EINVAL;

	if (hash && kdf->iterations)
		code = PKCS5_PBKDF2_HMAC((const char *)secret, size, kdf->salt, kdf->salt_size, kdf->iterations,
					 hash, out_size, out) == 1 ?
			       0 :
			       -EIO;
	EVP_MD_free(hash);
	return pk_fault(code);
}

/* Sector after sector, numbered from the area's start (plain64). */
static int decrypt(const struct pk_luks_slot *slot, const u8 *key, u8 *out)
{
	const EVP_CIPHER *cipher = slot->area_key_size == 64 ? EVP_aes_256_xts() : EVP_aes_128_xts();
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	u8 iv[16] = { 0 };
	int done, code = 0;

	if (!context || EVP_DecryptInit_ex(context, cipher, NULL, key, NULL) != 1)
		code = -EIO;
	for (u32 at = 0; !code && at < slot->area_size; at += PK_LUKS_SECTOR_SIZE) {
		u64 number = at / PK_LUKS_SECTOR_SIZE;

		memcpy(iv, &number, sizeof(number));
		if (EVP_DecryptInit_ex(context, NULL, NULL, NULL, iv) != 1 ||
		    EVP_DecryptUpdate(context, out + at, &done, slot->area + at, PK_LUKS_SECTOR_SIZE) != 1)
			code = -EIO;
	}
	EVP_CIPHER_CTX_free(context);
	return pk_fault(code);
}

/* In place: each piece of a digest's size by the digest of its number and itself; the last is cut. */
static int diffuse(EVP_MD_CTX *context, EVP_MD *hash, u8 *block, u32 size)
{
	u32 step = EVP_MD_get_size(hash);
	u8 digest[PK_LUKS_DIGEST_MAX];
	int code = 0;

	for (u32 at = 0, number = 0; !code && at < size; at += step, number++) {
		u8 big_endian[4] = { number >> 24, number >> 16, number >> 8, number };
		u32 piece = size - at < step ? size - at : step;

		if (EVP_DigestInit_ex(context, hash, NULL) != 1 ||
		    EVP_DigestUpdate(context, big_endian, sizeof(big_endian)) != 1 ||
		    EVP_DigestUpdate(context, block + at, piece) != 1 ||
		    EVP_DigestFinal_ex(context, digest, NULL) != 1)
			code = -EIO;
		else
			memcpy(block + at, digest, piece);
	}
	OPENSSL_cleanse(digest, sizeof(digest));
	return code;
}

/* The stripes to the key (TKS1, Fruhwirth, 2.4). */
static int merge(const struct pk_luks_slot *slot, const u8 *stripes, u8 *key)
{
	EVP_MD *hash = EVP_MD_fetch(NULL, slot->af_hash, NULL);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	int code = context ? 0 : -ENOMEM;

	if (!hash || EVP_MD_get_size(hash) <= 0 || EVP_MD_get_size(hash) > PK_LUKS_DIGEST_MAX)
		code = -EINVAL;
	memset(key, 0, slot->key_size);
	for (u32 number = 0; !code && number < slot->stripes; number++) {
		for (u32 at = 0; at < slot->key_size; at++)
			key[at] ^= stripes[number * slot->key_size + at];
		if (number < slot->stripes - 1)
			code = diffuse(context, hash, key, slot->key_size);
	}
	EVP_MD_CTX_free(context);
	EVP_MD_free(hash);
	return pk_fault(code);
}

static bool is_sane(const struct pk_luks_slot *slot)
{
	return (slot->area_key_size == 32 || slot->area_key_size == 64) && slot->key_size &&
	       slot->key_size <= PK_LUKS_KEY_MAX && slot->stripes && slot->stripes <= PK_LUKS_STRIPES_MAX &&
	       slot->area_size && !(slot->area_size % PK_LUKS_SECTOR_SIZE) &&
	       (u64)slot->key_size * slot->stripes <= slot->area_size && slot->digest_size &&
	       slot->digest_size <= PK_LUKS_DIGEST_MAX;
}

int pk_luks_opens(const struct pk_luks_slot *slot, const u8 *passphrase, u32 size)
{
	u8 area_key[PK_LUKS_KEY_MAX], key[PK_LUKS_KEY_MAX], digest[PK_LUKS_DIGEST_MAX];
	u8 *stripes;
	int code;

	if (!is_sane(slot))
		return -EINVAL;
	stripes = OPENSSL_malloc(slot->area_size);
	if (!stripes)
		return pk_fault(-ENOMEM);
	code = derive(&slot->kdf, passphrase, size, area_key, slot->area_key_size);
	if (!code)
		code = decrypt(slot, area_key, stripes);
	if (!code)
		code = merge(slot, stripes, key);
	if (!code)
		code = derive(&slot->digest_kdf, key, slot->key_size, digest, slot->digest_size);
	if (!code && CRYPTO_memcmp(digest, slot->digest, slot->digest_size))
		code = -EBADMSG;
	OPENSSL_cleanse(area_key, sizeof(area_key));
	OPENSSL_cleanse(key, sizeof(key));
	OPENSSL_cleanse(digest, sizeof(digest));
	OPENSSL_clear_free(stripes, slot->area_size);
	return code;
}
