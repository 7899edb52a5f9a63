// SPDX-License-Identifier: Apache-2.0
/* A fault planted on purpose: the fuzzer must find it, else a quiet run means nothing. */
#include <common/crc32.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	u8 *copy = fuzz_copy(data, size);

	if (size > 2 && copy[0] == 'P' && copy[1] == 'K')
		pk_crc32(0, copy, size + 1);
	free(copy);
	return 0;
}
