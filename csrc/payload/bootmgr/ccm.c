// SPDX-License-Identifier: Apache-2.0
/* AES-256-CCM (FIPS 197, SP 800-38C) by itself: what we are compared with must not share our faults. */
#include <payload/bootmgr/bootmgr.h>

enum {
	BLOCK		= 16,
	KEY_WORDS	= 8,
	ROUNDS		= 14,
	NONCE_SIZE	= 12,
	LENGTH_SIZE	= BLOCK - 1 - NONCE_SIZE,
	TAG_SIZE	= 16,
	SCHEDULE	= BLOCK * (ROUNDS + 1),
};

static u8 sbox[256];

static u8 twice(u8 x)
{
	return (u8)(x << 1 ^ (x & 0x80 ? 0x1b : 0));
}

/* FIPS 197, 5.1.1: inverses by walking the powers of 3 and, backwards, of its inverse. */
static void make_sbox(void)
{
	u8 p = 1, q = 1;

	do {
		u8 x;

		p = (u8)(p ^ twice(p));
		q ^= (u8)(q << 1);
		q ^= (u8)(q << 2);
		q ^= (u8)(q << 4);
		q ^= q & 0x80 ? 0x09 : 0;
		x = (u8)(q ^ (q << 1 | q >> 7) ^ (q << 2 | q >> 6) ^ (q << 3 | q >> 5) ^ (q << 4 | q >> 4));
		sbox[p] = x ^ 0x63;
	} while (p != 1);
	sbox[0] = 0x63;
}

static void expand(const u8 *key, u8 *ret)
{
	u8 constant = 1;

	memcpy(ret, key, 4 * KEY_WORDS);
	for (u32 i = KEY_WORDS; i < SCHEDULE / 4; i++) {
		u8 t[4];

		memcpy(t, ret + 4 * (i - 1), 4);
		if (i % KEY_WORDS == 0) {
			u8 first = t[0];

			t[0] = sbox[t[1]] ^ constant;
			t[1] = sbox[t[2]];
			t[2] = sbox[t[3]];
			t[3] = sbox[first];
			constant = twice(constant);
		} else if (i % KEY_WORDS == 4) {
			for (u32 j = 0; j < 4; j++)
				t[j] = sbox[t[j]];
		}
		for (u32 j = 0; j < 4; j++)
			ret[4 * i + j] = ret[4 * (i - KEY_WORDS) + j] ^ t[j];
	}
}

static void add(u8 *block, const u8 *other)
{
	for (u32 i = 0; i < BLOCK; i++)
		block[i] ^= other[i];
}

static void encrypt(const u8 *schedule, u8 *block)
{
	add(block, schedule);
	for (u32 round = 1; round <= ROUNDS; round++) {
		u8 t[BLOCK];

		for (u32 i = 0; i < BLOCK; i++)
			t[i] = sbox[block[(i + 4 * (i % 4)) % BLOCK]];
		for (u32 c = 0; c < BLOCK && round < ROUNDS; c += 4) {
			u8 all = t[c] ^ t[c + 1] ^ t[c + 2] ^ t[c + 3], first = t[c];

			for (u32 j = 0; j < 4; j++) {
				u8 next = j < 3 ? t[c + j + 1] : first;

				t[c + j] ^= (u8)(all ^ twice(t[c + j] ^ next));
			}
		}
		memcpy(block, t, BLOCK);
		add(block, schedule + BLOCK * round);
	}
}

static void key_stream(const u8 *schedule, const u8 *nonce, u32 counter, u8 *ret)
{
	memset(ret, 0, BLOCK);
	ret[0] = LENGTH_SIZE - 1;
	memcpy(ret + 1, nonce, NONCE_SIZE);
	for (u32 i = 0; i < LENGTH_SIZE; i++)
		ret[BLOCK - 1 - i] = (u8)(counter >> 8 * i);
	encrypt(schedule, ret);
}

bool wbm_ccm_decrypt(const u8 *key, const u8 *nonce, const u8 *tag, const u8 *data, u32 size, u8 *ret)
{
	u8 schedule[SCHEDULE], stream[BLOCK], mac[BLOCK] = { (TAG_SIZE - 2) / 2 << 3 | (LENGTH_SIZE - 1) };

	make_sbox();
	expand(key, schedule);
	memcpy(mac + 1, nonce, NONCE_SIZE);
	for (u32 i = 0; i < LENGTH_SIZE; i++)
		mac[BLOCK - 1 - i] = (u8)(size >> 8 * i);
	encrypt(schedule, mac);
	for (u32 at = 0; at < size; at += BLOCK) {
		u32 part = size - at < BLOCK ? size - at : BLOCK;

		key_stream(schedule, nonce, at / BLOCK + 1, stream);
		for (u32 i = 0; i < part; i++) {
			ret[at + i] = data[at + i] ^ stream[i];
			mac[i] ^= ret[at + i];
		}
		encrypt(schedule, mac);
	}
	key_stream(schedule, nonce, 0, stream);
	add(mac, stream);
	return !memcmp(mac, tag, TAG_SIZE);
}
