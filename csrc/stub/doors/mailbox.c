// SPDX-License-Identifier: Apache-2.0
/* The mailbox: a message of requests in, a message of replies out. Runs in the firmware's world. */
#include <common/message.h>
#include <pykexec/abi.h>
#include <stub/doors/mailbox.h>
#include <stub/doors/operations.h>
#include <stub/end/leave.h>
#include <stub/end/secrets.h>
#include <stub/lib/string.h>

static u8 input[PK_MESSAGE_MAX] __attribute__((aligned(PK_PAGE_SIZE)));
static u8 output[PK_MESSAGE_MAX] __attribute__((aligned(PK_PAGE_SIZE)));

u8 *const pk_mailbox_input = input;
u8 *const pk_mailbox_output = output;
u64 pk_mailbox_output_size;

void pk_mailbox_init(void)
{
	struct pk_message_writer writer;

	/* A mailbox that was never written reads as an answer to nothing. */
	pk_message_begin(&writer, output, sizeof(output), 0);
	pk_mailbox_output_size = pk_message_finish(&writer);
}

void pk_mailbox_wipe(void)
{
	memset(input, 0, sizeof(input));
	memset(output, 0, sizeof(output));
	pk_mailbox_init();
}

bool pk_mailbox_needs_timers(u64 size)
{
	const struct pk_request *request;
	struct pk_message_reader reader;
	efi_status_t status;
	u64 body_size;

	if (EFI_ERROR(pk_message_open(input, size, &reader)))
		return false;
	while ((request = pk_message_next(&reader, &body_size, &status)))
		if (request->flags & PK_REQUEST_TIMERS ||
		    pk_request_needs_timers(PK_CARRIER_MAILBOX, request->op, request + 1, body_size))
			return true;
	return false;
}

efi_status_t pk_mailbox_serve(u64 size)
{
	const struct pk_message *message = (const void *)input;
	const struct pk_request *request;
	struct pk_message_reader reader;
	struct pk_message_writer writer;
	efi_status_t status;
	u64 body_size;

	status = pk_message_open(input, size, &reader);
	if (EFI_ERROR(status))
		return status;

	pk_message_begin(&writer, output, sizeof(output), message->sequence);
	while ((request = pk_message_next(&reader, &body_size, &status))) {
		struct pk_call call = { .body = request + 1, .size = body_size };

		call.answer = pk_message_body(&writer, &call.capacity);
		/* No room for another header: what was served stays answered, the client asks again. */
		if (!call.answer)
			break;
		status = pk_request_serve(PK_CARRIER_MAILBOX, request->op, &call);
		pk_message_append(&writer, request, status, EFI_ERROR(status) ? 0 : call.answered);
		status = EFI_SUCCESS;
		if (pk_leave.requested)
			break;
	}
	pk_mailbox_output_size = pk_message_finish(&writer);
	if (pk_secrets_announced())
		memset(input, 0, size);
	return status;
}
