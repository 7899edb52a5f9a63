// SPDX-License-Identifier: Apache-2.0
/* Any bytes as a kernel file. */
#include <common/bzimage.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	u8 *file = fuzz_copy(data, size);
	struct pk_bzimage kernel;

	if (pk_bzimage_parse(file, size, &kernel) == PK_BZIMAGE_OK) {
		FUZZ_CHECK(kernel.kernel_alignment && !(kernel.kernel_alignment & (kernel.kernel_alignment - 1)));
		FUZZ_CHECK(kernel.version_offset < size);
		if (kernel.version_offset)
			FUZZ_CHECK(memchr(file + kernel.version_offset, 0, size - kernel.version_offset));
	}
	free(file);
	return 0;
}
