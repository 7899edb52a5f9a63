// SPDX-License-Identifier: Apache-2.0
/* Any bytes as a PE file, laid out when they are accepted, and as an image in memory. */
#include <common/pe.h>

#include "fuzz.h"

enum { IMAGE_MAX = 1 << 22 };

static void find(const void *image, u64 size)
{
	static const char *const names[] = { ".text", ".linux", ".longest", "", ".longest1" };

	for (u64 i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct pk_range found;

		if (pk_pe_find_section(image, size, names[i], &found) == PK_PE_OK)
			FUZZ_CHECK(found.start <= size && found.size <= size - found.start);
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	u8 *file = fuzz_copy(data, size);
	struct pk_pe pe;

	find(file, size);
	if (pk_pe_parse(file, size, &pe) == PK_PE_OK) {
		FUZZ_CHECK(pe.entry < pe.size_of_image && pe.size_of_headers <= size);
		if (pe.size_of_image <= IMAGE_MAX) {
			u8 *image = malloc(pe.size_of_image);

			FUZZ_CHECK(image);
			pk_pe_layout(file, &pe, image);
			FUZZ_CHECK(!memcmp(image, file, pe.size_of_headers));
			find(image, pe.size_of_image);
			free(image);
		}
	}
	free(file);
	return 0;
}
