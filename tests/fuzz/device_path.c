// SPDX-License-Identifier: Apache-2.0
/* Any bytes as a device path; what is built from it is a device path again, inside its buffer. */
#include <common/device_path.h>

#include "fuzz.h"

enum { PATH_UNITS = 64, END_NODE_SIZE = 4 };

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fuzz_input input = { data, size };
	u64 capacity = fuzz_take(&input, 2);
	u64 nr_units = fuzz_take(&input, 1) % PATH_UNITS;
	u64 start = fuzz_take(&input, 8);
	u64 end = fuzz_take(&input, 8);
	u16 units[PATH_UNITS] = { 0 };
	u64 path_size, made;
	u8 *path, *out;

	for (u64 i = 0; i < nr_units; i++)
		units[i] = fuzz_take(&input, 2);
	path = fuzz_copy(input.data, input.size);
	out = malloc(capacity + 1);
	FUZZ_CHECK(out);

	path_size = pk_device_path_size(path, input.size);
	FUZZ_CHECK(path_size <= input.size);
	if (path_size)
		FUZZ_CHECK(pk_device_path_size(path, path_size) == path_size &&
			   !pk_device_path_size(path, path_size - 1));
	if (pk_device_path_is_initrd(path, input.size) || pk_device_path_is_file(path, input.size) ||
	    pk_device_path_is_address(path, input.size))
		FUZZ_CHECK(path_size);

	/* One byte to spare, so that the bound is ours and not malloc's. */
	out[capacity] = 0xee;
	made = pk_device_path_append_file(path, input.size, units, out, capacity);
	FUZZ_CHECK(made <= capacity && out[capacity] == 0xee);
	if (made) {
		FUZZ_CHECK(pk_device_path_size(out, made) == made);
		FUZZ_CHECK(!memcmp(out, path, path_size - END_NODE_SIZE));
	}
	made = pk_device_path_memory(1, start, end, out, capacity);
	FUZZ_CHECK(made <= capacity && out[capacity] == 0xee);
	if (made)
		FUZZ_CHECK(start <= end && pk_device_path_size(out, made) == made);

	free(out);
	free(path);
	return 0;
}
