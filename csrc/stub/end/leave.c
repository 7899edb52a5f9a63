// SPDX-License-Identifier: Apache-2.0
/* How this Linux ends: who ends it tells us, and a Linux of which nothing was told has used kexec. */
#include <efi/protocols.h>
#include <stub/end/last_end.h>
#include <stub/end/leave.h>
#include <stub/end/staged.h>

struct pk_leave pk_leave;

static const char linux_reset[] = "Linux asked for a reset, or has panicked";

void pk_leave_init(void)
{
	pk_leave = (struct pk_leave){ 0 };
	pk_last_end_init();
}

efi_status_t pk_leave_request(struct pk_call *call)
{
	const struct pk_leave_request *request = call->body;

	if (request->action > PK_ACTION_PAYLOAD || call->size > sizeof(*request) + PK_REASON_MAX)
		return EFI_INVALID_PARAMETER;
	if (request->action == PK_ACTION_PAYLOAD && !pk_payload_ready())
		return EFI_NOT_READY;
	pk_leave = (struct pk_leave){
		.requested = true,
		.action = request->action,
		.reset_type = EFI_RESET_COLD,
	};
	pk_last_end_reason(request + 1, call->size - sizeof(*request));
	return EFI_SUCCESS;
}

void pk_leave_reset(u32 type)
{
	bool staged = type != EFI_RESET_SHUTDOWN && pk_payload_ready();

	if (pk_leave.requested)
		return;
	pk_leave = (struct pk_leave){
		.requested = true,
		.action = staged ? PK_ACTION_PAYLOAD : PK_ACTION_RESET,
		.reset_type = type,
	};
	/* After a panic as well: there may have been no console that showed it. */
	if (!staged && type != EFI_RESET_SHUTDOWN)
		pk_last_end_reason(linux_reset, sizeof(linux_reset) - 1);
}

void pk_leave_give_up(void)
{
	pk_leave = (struct pk_leave){ .requested = true, .action = PK_ACTION_BOOT_NEXT };
}
