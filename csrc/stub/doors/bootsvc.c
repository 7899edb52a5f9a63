// SPDX-License-Identifier: Apache-2.0
/*
 * The native way in: a Linux that knows the table calls with an array of
 * requests, whose data lie in its own memory and are used where they are.
 */
#include <common/crc32.h>
#include <pykexec/bootsvc.h>
#include <stub/doors/bootsvc.h>
#include <stub/doors/mailbox.h>
#include <stub/doors/operations.h>
#include <stub/end/secrets.h>
#include <stub/gate/gate.h>
#include <stub/lib/string.h>
#include <stub/lib/stub.h>
#include <stub/lib/test.h>

/* Of what services answer; lists are asked for piece by piece. */
enum { ANSWER_SIZE = 64 * 1024 };

static struct pk_bootsvc_table table __attribute__((aligned(sizeof(struct pk_bootsvc_table))));
static u8 answer[ANSWER_SIZE] __attribute__((aligned(8)));

/* Static: the caller's stack is Linux' and not mapped in the firmware's page tables. */
static struct {
	u64 requests;
	u64 nr;
	u64 next;		/* the first that was not served */
	bool have_timers;
	bool needed_timers;	/* out: one that was served did */
} round;

void pk_bootsvc_wipe(void)
{
	memset(answer, 0, sizeof(answer));
}

static bool is_linux_memory(u64 start, u64 size)
{
	return pk_test_memory_check(size <= pk_linux_memory_behind(start));
}

static bool is_in_place(const struct pk_descriptor *request)
{
	const struct pk_operation *operation = pk_operation_find(request->op, PK_CARRIER_NATIVE);

	return operation && pk_operation_takes_descriptors(operation);
}

static bool needs_timers(const struct pk_descriptor *request)
{
	if (is_in_place(request))
		return pk_descriptor_needs_timers(PK_CARRIER_NATIVE, request);
	return request->flags & PK_REQUEST_TIMERS ||
	       pk_request_needs_timers(PK_CARRIER_NATIVE, request->op, (const void *)request->offset, request->size);
}

static void serve(struct pk_descriptor *request)
{
	struct pk_call call = {
		.body = pk_mailbox_input,
		.size = request->size,
		.answer = answer,
		.capacity = request->capacity < ANSWER_SIZE ? request->capacity : ANSWER_SIZE,
	};

	if (is_in_place(request)) {
		pk_descriptor_serve(PK_CARRIER_NATIVE, request, (u8 *)request->offset);
		return;
	}
	request->result = 0;
	if (request->size > PK_MESSAGE_MAX) {
		request->status = EFI_BAD_BUFFER_SIZE;
		return;
	}
	memcpy(pk_mailbox_input, (const void *)request->offset, request->size);
	request->status = pk_request_serve(PK_CARRIER_NATIVE, request->op, &call);
	if (!EFI_ERROR(request->status))
		request->result = call.answered;
	memcpy((void *)request->offset, answer, request->result);
	if (pk_secrets_announced()) {
		memset(pk_mailbox_input, 0, request->size);
		memset(answer, 0, request->result);
	}
}

static efi_status_t serve_requests(void *unused)
{
	struct pk_descriptor *shared = (struct pk_descriptor *)round.requests;

	(void)unused;
	for (; round.next < round.nr; round.next++) {
		struct pk_descriptor request = shared[round.next];
		u64 size = request.size > request.capacity ? request.size : request.capacity;

		if (size && !is_linux_memory(request.offset, size)) {
			request.status = EFI_INVALID_PARAMETER;
			request.result = 0;
		} else {
			if (needs_timers(&request)) {
				if (!round.have_timers)
					break;
				round.needed_timers = true;
			}
			serve(&request);
		}
		shared[round.next].result = request.result;
		shared[round.next].status = request.status;
	}
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI call(u64 requests, u64 nr)
{
	/* Who needed timers calls again soon: then one switch does instead of two. */
	static bool expect_timers;

	if (!nr || nr > PK_BOOTSVC_MAX_REQUESTS || requests % _Alignof(struct pk_descriptor) ||
	    !is_linux_memory(requests, nr * sizeof(struct pk_descriptor)))
		return EFI_INVALID_PARAMETER;
	round.requests = requests;
	round.nr = nr;
	round.next = 0;
	round.needed_timers = false;
	round.have_timers = expect_timers;
	if (!expect_timers) {
		pk_gate_call_lean(serve_requests, NULL);
		round.have_timers = true;
	}
	if (round.next < nr)
		pk_gate_call(serve_requests, NULL);
	expect_timers = round.needed_timers;
	return EFI_SUCCESS;
}

void *pk_bootsvc_table(void)
{
	table = (struct pk_bootsvc_table){
		.signature = PK_BOOTSVC_SIGNATURE,
		.revision = PK_BOOTSVC_REVISION,
		.size = sizeof(table),
		.max_requests = PK_BOOTSVC_MAX_REQUESTS,
		.resident = pk_handoff.stub,
		.call = (u64)call,
		.resume = (u64)pk_resume_entry,
		.resume_context = (u64)&pk_handoff,
	};
	table.checksum = pk_crc32(0, &table, sizeof(table));
	return &table;
}
