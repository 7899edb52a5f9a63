/* SPDX-License-Identifier: Apache-2.0 */
/* What the libFuzzer drivers share: taking the input apart, and stopping when a promise is broken. */
#ifndef PK_FUZZ_H
#define PK_FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pykexec/abi.h>

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#define FUZZ_CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s: broken: %s\n", __func__, #condition); \
			__builtin_trap(); \
		} \
	} while (0)

struct fuzz_input {
	const u8 *data;
	size_t size;
};

/* The next bytes as a number; zeros when the input has ended. */
static inline u64 fuzz_take(struct fuzz_input *input, size_t size)
{
	u64 value = 0;

	if (size > input->size)
		size = input->size;
	memcpy(&value, input->data, size);
	input->data += size;
	input->size -= size;
	return value;
}

/* A copy of exactly size bytes: AddressSanitizer sees every read beyond. */
static inline void *fuzz_copy(const void *data, size_t size)
{
	void *copy = malloc(size ? size : 1);

	FUZZ_CHECK(copy);
	if (size)
		memcpy(copy, data, size);
	return copy;
}

#endif
