// SPDX-License-Identifier: Apache-2.0
/* CRC-32 bit by bit: what is summed here is a few hundred bytes, a table would be larger. */
#include <common/crc32.h>

enum { PK_CRC32_POLYNOMIAL = 0xedb88320 };

u32 pk_crc32(u32 seed, const void *data, u64 size)
{
	const u8 *bytes = data;
	u32 crc = ~seed;

	for (u64 i = 0; i < size; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ (crc & 1 ? (u32)PK_CRC32_POLYNOMIAL : 0);
	}
	return ~crc;
}
