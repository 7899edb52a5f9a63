/* SPDX-License-Identifier: Apache-2.0 */
/* Does a passphrase open a key slot of LUKS2? By libcrypto. */
#ifndef PK_CRYPTO_LUKS_H
#define PK_CRYPTO_LUKS_H

#include <pykexec/types.h>

enum {
	PK_LUKS_SECTOR_SIZE = 512,
	PK_LUKS_KEY_MAX = 64,
	PK_LUKS_STRIPES_MAX = 4000,
	PK_LUKS_DIGEST_MAX = 64,
};

/* PBKDF2 (RFC 8018, 5.2) with HMAC by the hash of that name. */
struct pk_luks_kdf {
	const char *hash;
	const u8 *salt;
	u32 salt_size;
	u32 iterations;
};

/*
 * A slot as the LUKS2 On-Disk Format Specification 1.1.0 has it: the key area, by AES-XTS with
 * area_key_size bytes of key, holds the volume's key of key_size bytes in stripes by the hash af_hash;
 * digest is what the volume's key is known by.
 */
struct pk_luks_slot {
	struct pk_luks_kdf kdf;
	u32 area_key_size;
	const u8 *area;
	u32 area_size;
	const char *af_hash;
	u32 stripes;
	u32 key_size;
	struct pk_luks_kdf digest_kdf;
	const u8 *digest;
	u32 digest_size;
};

/*
 * 0 if it does, -EBADMSG if not, -EINVAL for what no slot of this kind has, or another -errno. All
 * that it computes on the way is wiped.
 */
int pk_luks_opens(const struct pk_luks_slot *slot, const u8 *passphrase, u32 size);

#endif
