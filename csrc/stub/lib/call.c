// SPDX-License-Identifier: Apache-2.0
/* One operation being served: its answer. */
#include <stub/lib/call.h>
#include <stub/lib/string.h>

efi_status_t pk_answer(struct pk_call *call, const void *reply, u64 size)
{
	if (call->capacity < size)
		return EFI_BUFFER_TOO_SMALL;
	memcpy(call->answer, reply, size);
	call->answered = size;
	return EFI_SUCCESS;
}
