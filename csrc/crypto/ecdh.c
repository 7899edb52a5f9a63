// SPDX-License-Identifier: Apache-2.0
/* Ephemeral Diffie-Hellman on NIST's curves (SP 800-56A) by libcrypto. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>

#include <crypto/ecdh.h>
#include <crypto/fault.h>

enum {
	UNCOMPRESSED = 4, /* SEC 1, 2.3.3 */
	POINT_MAX = 1 + 2 * PK_ECDH_SIZE_MAX,
};

struct pk_ecdh {
	EVP_PKEY *key;
	const char *curve;
	u32 size;
};

static const struct {
	const char *name;
	u32 size;
} curves[] = { { "P-256", 32 }, { "P-384", 48 } };

int pk_ecdh_generate(const char *curve, struct pk_ecdh **ret)
{
	struct pk_ecdh *made;

	for (size_t i = 0; i < sizeof(curves) / sizeof(curves[0]); i++) {
		if (strcmp(curve, curves[i].name))
			continue;
		made = malloc(sizeof(*made));
		if (!made)
			return -ENOMEM;
		*made = (struct pk_ecdh){ EVP_EC_gen(curves[i].name), curves[i].name, curves[i].size };
		if (!made->key) {
			free(made);
			return pk_fault(-EIO);
		}
		*ret = made;
		return 0;
	}
	return -EINVAL;
}

void pk_ecdh_free(struct pk_ecdh *key)
{
	EVP_PKEY_free(key->key);
	free(key);
}

u32 pk_ecdh_size(const struct pk_ecdh *key)
{
	return key->size;
}

int pk_ecdh_public(const struct pk_ecdh *key, u8 *x, u8 *y)
{
	u8 point[POINT_MAX];
	size_t size = 0;

	if (EVP_PKEY_get_octet_string_param(key->key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point), &size) != 1 ||
	    size != 1 + 2 * key->size || point[0] != UNCOMPRESSED)
		return pk_fault(-EIO);
	memcpy(x, point + 1, key->size);
	memcpy(y, point + 1 + key->size, key->size);
	return 0;
}

/* NULL for what is no point of the curve: fromdata checks. */
static EVP_PKEY *peer_of(const struct pk_ecdh *key, const u8 *x, const u8 *y)
{
	u8 point[POINT_MAX] = { UNCOMPRESSED };
	OSSL_PARAM parameters[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)key->curve, 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * key->size),
		OSSL_PARAM_construct_end(),
	};
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_PKEY *peer = NULL;

	memcpy(point + 1, x, key->size);
	memcpy(point + 1 + key->size, y, key->size);
	if (!context || EVP_PKEY_fromdata_init(context) != 1 ||
	    EVP_PKEY_fromdata(context, &peer, EVP_PKEY_PUBLIC_KEY, parameters) != 1)
		peer = NULL;
	EVP_PKEY_CTX_free(context);
	return peer;
}

int pk_ecdh_derive(const struct pk_ecdh *key, const u8 *x, const u8 *y, u8 *out)
{
	EVP_PKEY *peer = peer_of(key, x, y);
	EVP_PKEY_CTX *context;
	size_t size = key->size;
	int code = 0;

	if (!peer)
		return pk_fault(-EINVAL);
	context = EVP_PKEY_CTX_new(key->key, NULL);
	if (!context || EVP_PKEY_derive_init(context) != 1)
		code = pk_fault(-EIO);
	/* Setting the peer validates it once more (SP 800-56A, 5.6.2.3). */
	else if (EVP_PKEY_derive_set_peer(context, peer) != 1)
		code = pk_fault(-EINVAL);
	else if (EVP_PKEY_derive(context, out, &size) != 1 || size != key->size)
		code = pk_fault(-EIO);
	EVP_PKEY_CTX_free(context);
	EVP_PKEY_free(peer);
	return code;
}
