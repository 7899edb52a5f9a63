// SPDX-License-Identifier: Apache-2.0
/* Any bytes as an event log whose last entry begins anywhere; its size is never more than there is. */
#include <common/event_log.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fuzz_input input = { data, size };
	bool agile = fuzz_take(&input, 1) & 1;
	u64 last = fuzz_take(&input, 2);
	u64 found = 0;
	u8 *log = fuzz_copy(input.data, input.size);

	if (pk_event_log_size(log, input.size, last, agile, &found))
		FUZZ_CHECK(found > last && found <= input.size);
	else
		FUZZ_CHECK(!found);
	free(log);
	return 0;
}
