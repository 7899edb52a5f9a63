// SPDX-License-Identifier: Apache-2.0
/* What the compiler calls by itself, for all code that has no C library. */
#include <common/mem.h>
#include <pykexec/types.h>

void *memmove(void *destination, const void *source, size_t size);

void *memcpy(void *destination, const void *source, size_t size)
{
	size_t nr_words = size / 8, nr_bytes = size % 8;
	void *d = destination;

	/* Words first: an emulator, and a processor without fast strings, takes as long for each byte. */
	__asm__ volatile("rep movsq" : "+D"(d), "+S"(source), "+c"(nr_words) : : "memory");
	__asm__ volatile("rep movsb" : "+D"(d), "+S"(source), "+c"(nr_bytes) : : "memory");
	return destination;
}

void *memmove(void *destination, const void *source, size_t size)
{
	u8 *d = destination;
	const u8 *s = source;

	if (d <= s || d >= s + size)
		return memcpy(destination, source, size);
	while (size--)
		d[size] = s[size];
	return destination;
}

void *memset(void *buffer, int value, size_t size)
{
	u64 pattern = 0x0101010101010101 * (u8)value;
	size_t nr_words = size / 8, nr_bytes = size % 8;
	void *d = buffer;

	__asm__ volatile("rep stosq" : "+D"(d), "+c"(nr_words) : "a"(pattern) : "memory");
	__asm__ volatile("rep stosb" : "+D"(d), "+c"(nr_bytes) : "a"(pattern) : "memory");
	return buffer;
}

int memcmp(const void *a, const void *b, size_t size)
{
	const u8 *x = a, *y = b;

	for (; size; size--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}
