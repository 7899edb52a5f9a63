// SPDX-License-Identifier: Apache-2.0
/* Any bytes as a handoff, as they are and sealed: nothing leads out of the stub. */
#include <common/handoff.h>

#include "fuzz.h"

static void check(const void *bytes, u64 size, u64 address)
{
	enum pk_handoff_fault fault = pk_handoff_check(bytes, size, address);
	struct pk_handoff handoff;

	if (fault != PK_HANDOFF_OK)
		return;
	FUZZ_CHECK(size >= sizeof(handoff));
	memcpy(&handoff, bytes, sizeof(handoff));
	FUZZ_CHECK(handoff.resume_entry - handoff.stub.start < handoff.stub.size);
	if (address)
		FUZZ_CHECK(address - handoff.stub.start <= handoff.stub.size - sizeof(handoff));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fuzz_input input = { data, size };
	u64 address = fuzz_take(&input, 8);
	struct pk_handoff *handoff;
	u8 *bytes = fuzz_copy(input.data, input.size);

	check(bytes, input.size, address);
	free(bytes);

	handoff = calloc(1, sizeof(*handoff));
	FUZZ_CHECK(handoff);
	memcpy(handoff, input.data, input.size < sizeof(*handoff) ? input.size : sizeof(*handoff));
	pk_handoff_seal(handoff);
	check(handoff, sizeof(*handoff), address);
	check(handoff, sizeof(*handoff), 0);
	free(handoff);
	return 0;
}
