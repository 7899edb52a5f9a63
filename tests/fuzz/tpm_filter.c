// SPDX-License-Identifier: Apache-2.0
/* Any bytes as a TPM command, as a response, and as an event. */
#include <common/tpm_filter.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	u8 *bytes = fuzz_copy(data, size);
	u8 answer[PK_TPM_HEADER_SIZE];
	u64 found;
	u32 code;

	if (pk_tpm_command_valid(bytes, size)) {
		u32 ordinal = pk_tpm_command_code(bytes);
		bool answered = pk_tpm_filter(bytes, size, &code);

		/* TPM2_Startup and TPM2_Shutdown, whatever else is in them. */
		FUZZ_CHECK(answered || (ordinal != 0x144 && ordinal != 0x145));
		if (answered) {
			pk_tpm_answer(code, answer);
			FUZZ_CHECK(pk_tpm_response_size(answer, sizeof(answer)) == sizeof(answer));
		}
	}
	found = pk_tpm_response_size(bytes, size);
	FUZZ_CHECK(!found || (found >= PK_TPM_HEADER_SIZE && found <= size));
	/* Nothing of the firmware's, nor of an operating system's, and no register but two. */
	for (u32 pcr = 0; pcr < 24; pcr++)
		FUZZ_CHECK(!pk_tpm_event_allowed(pcr, bytes, size) || pcr == 15 || (pcr == 5 && size >= 8));
	free(bytes);
	return 0;
}
