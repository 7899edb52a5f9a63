// SPDX-License-Identifier: Apache-2.0
/* SipHash-2-4 (Aumasson, Bernstein 2012), whose words are little endian as the processor's. */
#include <common/mem.h>
#include <common/siphash.h>

enum { COMPRESSIONS = 2, FINALIZATIONS = 4 };

struct state {
	u64 v0;
	u64 v1;
	u64 v2;
	u64 v3;
};

static u64 rotate(u64 value, int bits)
{
	return value << bits | value >> (64 - bits);
}

static void rounds(struct state *s, int nr)
{
	while (nr--) {
		s->v0 += s->v1;
		s->v1 = rotate(s->v1, 13) ^ s->v0;
		s->v0 = rotate(s->v0, 32);
		s->v2 += s->v3;
		s->v3 = rotate(s->v3, 16) ^ s->v2;
		s->v0 += s->v3;
		s->v3 = rotate(s->v3, 21) ^ s->v0;
		s->v2 += s->v1;
		s->v1 = rotate(s->v1, 17) ^ s->v2;
		s->v2 = rotate(s->v2, 32);
	}
}

static void take(struct state *s, u64 word)
{
	s->v3 ^= word;
	rounds(s, COMPRESSIONS);
	s->v0 ^= word;
}

u64 pk_siphash(const struct pk_siphash_key *key, const void *data, u64 size)
{
	struct state s = {
		key->k0 ^ 0x736f6d6570736575, key->k1 ^ 0x646f72616e646f6d,
		key->k0 ^ 0x6c7967656e657261, key->k1 ^ 0x7465646279746573,
	};
	const u8 *bytes = data;
	u64 whole = size - size % sizeof(u64), word;

	for (u64 at = 0; at < whole; at += sizeof(word)) {
		memcpy(&word, bytes + at, sizeof(word));
		take(&s, word);
	}
	word = 0;
	memcpy(&word, bytes + whole, size - whole);
	take(&s, word | size << 56);
	s.v2 ^= 0xff;
	rounds(&s, FINALIZATIONS);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
