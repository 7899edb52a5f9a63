// SPDX-License-Identifier: Apache-2.0
/* The TPM for Linux, through EFI_TCG2_PROTOCOL: what it is, commands, the event log. */
#include <common/event_log.h>
#include <common/tpm_filter.h>
#include <efi/protocols.h>
#include <pykexec/abi.h>
#include <stub/lib/string.h>
#include <stub/lib/test.h>
#include <stub/services/tcg2.h>
#include <stub/services/tpm.h>

/* Copies of the stub's own: Linux may change the window at any time. */
static u8 command[PK_TPM_BUFFER_SIZE];
static u8 response[PK_TPM_BUFFER_SIZE];

efi_status_t pk_tpm_info(struct pk_call *call)
{
	struct efi_tcg2_capability capability;
	struct pk_tpm_info reply = { 0 };
	struct efi_tcg2 *tcg2;

	if (!EFI_ERROR(pk_tcg2_locate(&tcg2, &capability)))
		reply = (struct pk_tpm_info){
			.present = 1,
			.manufacturer = capability.manufacturer_id,
			.active_banks = capability.active_pcr_banks,
			.supported_banks = capability.hash_algorithm_bitmap,
		};
	return pk_answer(call, &reply, sizeof(reply));
}

/* Have the TPM carry out the command of size bytes; its response is of *ret_size bytes. */
static efi_status_t submit(u64 size, u64 *ret_size)
{
	struct efi_tcg2_capability capability;
	struct efi_tcg2 *tcg2;
	efi_status_t status;
	u64 room, answered;

	status = pk_tcg2_locate(&tcg2, &capability);
	if (EFI_ERROR(status))
		return status;
	if (size > capability.max_command_size)
		return EFI_BAD_BUFFER_SIZE;
	/* EDK II refuses room for more than the TPM ever answers. */
	room = capability.max_response_size < sizeof(response) ? capability.max_response_size : sizeof(response);
	/* What the last command left must not pass for a response. */
	memset(response, 0, sizeof(response));
	status = tcg2->submit_command(tcg2, (u32)size, command, (u32)room, response);
	/* It could not be given the command: what the TPM itself says then, whoever uses one knows. */
	if (status == EFI_NOT_READY) {
		pk_tpm_answer(PK_TPM_RC_RETRY, response);
		*ret_size = PK_TPM_HEADER_SIZE;
		return EFI_SUCCESS;
	}
	if (EFI_ERROR(status))
		return status;
	answered = pk_tpm_response_size(response, room);
	if (!answered)
		return EFI_DEVICE_ERROR;
	*ret_size = answered;
	return EFI_SUCCESS;
}

static efi_status_t answer_command(u64 size, u64 *ret_size)
{
	u32 code;

	if (!pk_tpm_command_valid(command, size))
		return EFI_INVALID_PARAMETER;
	if (!pk_test_tpm_filter(pk_tpm_filter(command, size, &code)))
		return submit(size, ret_size);
	pk_tpm_answer(code, response);
	*ret_size = PK_TPM_HEADER_SIZE;
	return EFI_SUCCESS;
}

efi_status_t pk_tpm_command(struct pk_call *call)
{
	const struct pk_descriptor *descriptor = call->body;
	efi_status_t status;
	u64 answered = 0;

	if (descriptor->size > sizeof(command))
		return EFI_BAD_BUFFER_SIZE;
	memcpy(command, call->answer, descriptor->size);
	status = answer_command(descriptor->size, &answered);
	if (!EFI_ERROR(status) && answered > descriptor->capacity)
		status = EFI_BUFFER_TOO_SMALL;
	if (!EFI_ERROR(status)) {
		memcpy(call->answer, response, answered);
		call->answered = answered;
	}
	/* Keys and authorization values: neither the firmware nor the payload shall find them. */
	memset(command, 0, sizeof(command));
	memset(response, 0, sizeof(response));
	return status;
}

/* The log as it is now; *ret_log NULL and size 0 for an empty one. */
static efi_status_t event_log(u32 format, struct pk_event_log_reply *ret, const u8 **ret_log)
{
	struct efi_tcg2_capability capability;
	u64 first = 0, last = 0, size = 0;
	struct efi_tcg2 *tcg2;
	efi_status_t status;
	u8 truncated = 0;

	status = pk_tcg2_locate(&tcg2, &capability);
	if (EFI_ERROR(status))
		return status;
	if (!(capability.supported_event_logs & format))
		return EFI_UNSUPPORTED;
	status = tcg2->get_event_log(tcg2, format, &first, &last, &truncated);
	if (EFI_ERROR(status))
		return status;
	if (first && last) {
		if (last < first || last - first >= PK_EVENT_LOG_MAX)
			return EFI_DEVICE_ERROR;
		if (!pk_event_log_size((const u8 *)first, PK_EVENT_LOG_MAX, last - first,
				       format == EFI_TCG2_EVENT_LOG_FORMAT_TCG_2, &size))
			return EFI_DEVICE_ERROR;
	}
	*ret = (struct pk_event_log_reply){ .size = size, .truncated = truncated != 0, .format = format };
	*ret_log = (const u8 *)first;
	return EFI_SUCCESS;
}

/*
 * The Final Events table is not appended. From the first call of GetEventLog on, the firmware
 * puts new events into that table too, for an OS that can no longer ask; as long as boot
 * services live, the log itself has them all (TCG EFI Protocol Specification 1.00, 6.5 and 7),
 * and those of the table would be there twice. Later callers know that: shim, GRUB and Linux'
 * EFI stub call GetEventLog one after the other.
 */
efi_status_t pk_tpm_event_log(struct pk_call *call)
{
	const struct pk_event_log_request *request = call->body;
	struct pk_event_log_reply reply;
	const u8 *log = NULL;
	efi_status_t status;
	u64 size = 0;

	status = event_log(EFI_TCG2_EVENT_LOG_FORMAT_TCG_2, &reply, &log);
	if (status == EFI_UNSUPPORTED || status == EFI_INVALID_PARAMETER)
		status = event_log(EFI_TCG2_EVENT_LOG_FORMAT_TCG_1_2, &reply, &log);
	if (EFI_ERROR(status))
		return status;
	if (call->capacity < sizeof(reply))
		return EFI_BUFFER_TOO_SMALL;
	if (request->offset < reply.size) {
		size = reply.size - request->offset;
		size = size < request->size ? size : request->size;
		size = size < call->capacity - sizeof(reply) ? size : call->capacity - sizeof(reply);
		memcpy((u8 *)call->answer + sizeof(reply), log + request->offset, size);
	}
	memcpy(call->answer, &reply, sizeof(reply));
	call->answered = sizeof(reply) + size;
	return EFI_SUCCESS;
}

efi_status_t pk_tpm_event(struct pk_call *call)
{
	const struct pk_tpm_event *event = call->body;
	u64 size = call->size - sizeof(*event);
	bool tagged = event->pcr == PK_TPM_EVENT_PCR_CONFIG;
	struct efi_tcg2_capability capability;
	struct efi_tcg2 *tcg2;
	efi_status_t status;

	if (!pk_tpm_event_allowed(event->pcr, (const u8 *)(event + 1), size))
		return EFI_INVALID_PARAMETER;
	status = pk_tcg2_locate(&tcg2, &capability);
	if (EFI_ERROR(status))
		return status;
	/* EFI_VOLUME_FULL: extended, but not logged. Nobody could explain the register, so it is a failure. */
	return pk_tcg2_extend(tcg2, event->pcr, tagged ? EFI_TCG2_EV_EVENT_TAG : EFI_TCG2_EV_IPL, event + 1, size,
			      event + 1, size);
}
