// SPDX-License-Identifier: Apache-2.0
/* SHA-256 (FIPS 180-4), by itself so that what we are compared with is not our own fault. */
#include <payload/bootmgr/bootmgr.h>

enum { BLOCK = 64, ROUNDS = 64 };

static const u32 constants[ROUNDS] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static u32 rotate(u32 x, u32 n)
{
	return x >> n | x << (32 - n);
}

static void block(u32 *state, const u8 *data)
{
	u32 w[ROUNDS], s[8];

	for (u32 i = 0; i < 16; i++)
		w[i] = (u32)data[4 * i] << 24 | (u32)data[4 * i + 1] << 16 | (u32)data[4 * i + 2] << 8 |
		       data[4 * i + 3];
	for (u32 i = 16; i < ROUNDS; i++)
		w[i] = w[i - 16] + w[i - 7] + (rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3) +
		       (rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10);
	memcpy(s, state, sizeof(s));
	for (u32 i = 0; i < ROUNDS; i++) {
		u32 one = s[7] + (rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25)) +
			  ((s[4] & s[5]) ^ (~s[4] & s[6])) + constants[i] + w[i];
		u32 two = (rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22)) +
			  ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));

		for (u32 j = 7; j; j--)
			s[j] = s[j - 1];
		s[4] += one;
		s[0] = one + two;
	}
	for (u32 i = 0; i < 8; i++)
		state[i] += s[i];
}

void wbm_sha256_init(struct wbm_sha256 *sha)
{
	*sha = (struct wbm_sha256){ .state = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
					       0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 } };
}

void wbm_sha256_update(struct wbm_sha256 *sha, const void *data, u64 size)
{
	const u8 *bytes = data;

	while (size) {
		u64 used = sha->size % BLOCK, part = size < BLOCK - used ? size : BLOCK - used;

		memcpy(sha->rest + used, bytes, part);
		if (used + part == BLOCK)
			block(sha->state, sha->rest);
		sha->size += part;
		bytes += part;
		size -= part;
	}
}

void wbm_sha256_final(struct wbm_sha256 *sha, u8 *ret)
{
	static const u8 padding[BLOCK] = { 0x80 };
	u64 nr_bits = sha->size * 8, used = sha->size % BLOCK;
	u8 length[8];

	for (u32 i = 0; i < 8; i++)
		length[7 - i] = (u8)(nr_bits >> 8 * i);
	wbm_sha256_update(sha, padding, (used < BLOCK - 8 ? BLOCK : 2 * BLOCK) - 8 - used);
	wbm_sha256_update(sha, length, sizeof(length));
	for (u32 i = 0; i < 8; i++)
		for (u32 j = 0; j < 4; j++)
			ret[4 * i + j] = (u8)(sha->state[i] >> (24 - 8 * j));
}

void wbm_sha256(const void *data, u64 size, u8 *ret)
{
	struct wbm_sha256 sha;

	wbm_sha256_init(&sha);
	wbm_sha256_update(&sha, data, size);
	wbm_sha256_final(&sha, ret);
}
