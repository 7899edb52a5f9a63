// SPDX-License-Identifier: Apache-2.0
/* Serving the operations of pykexec/operations.def, whoever brings them. */
#include <stub/doors/operations.h>
#include <stub/end/leave.h>
#include <stub/end/secrets.h>
#include <stub/end/staged.h>
#include <stub/gate/limit.h>
#include <stub/gate/state.h>
#include <stub/lib/boot_device.h>
#include <stub/lib/string.h>
#include <stub/lib/test.h>
#include <stub/services/acpi.h>
#include <stub/services/block.h>
#include <stub/services/console.h>
#include <stub/services/firmware_ram.h>
#include <stub/services/handles.h>
#include <stub/services/identity.h>
#include <stub/services/image.h>
#include <stub/services/memory_map.h>
#include <stub/services/net.h>
#include <stub/services/pci.h>
#include <stub/services/pxe.h>
#include <stub/services/ramdisk.h>
#include <stub/services/services.h>
#include <stub/services/timers.h>
#include <stub/services/tpm.h>
#include <stub/services/volume.h>
#include <stub/services/window_memory.h>

/* In the order of pk_operations. */
static efi_status_t (*const handlers[])(struct pk_call *call) = {
#define OP(number, name, body, handler, timers, carriers, lock) pk_##handler,
#define FORM(name, body, handler, timers, carriers, lock) pk_##handler,
#include <pykexec/operations.def>
};

efi_status_t pk_request_serve(enum pk_carrier carrier, u16 number, struct pk_call *call)
{
	const struct pk_operation *operation = pk_operation_find(number, carrier);
	bool locked = pk_test_payload_lock(pk_payload_locked());
	efi_status_t status;

	status = pk_operation_admit(operation, carrier, locked, call->body, call->size);
	if (EFI_ERROR(status))
		return status;
	pk_limit_note(number);
	status = handlers[operation - pk_operations](call);
	/* A transfer that succeeds leaves its device where it was; all else may make one go. */
	if (EFI_ERROR(status) || !pk_operation_takes_descriptors(operation))
		pk_interfaces_forget();
	return status;
}

static u64 room_of(const struct pk_descriptor *descriptor)
{
	return descriptor->size > descriptor->capacity ? descriptor->size : descriptor->capacity;
}

void pk_descriptor_serve(enum pk_carrier carrier, struct pk_descriptor *descriptor, u8 *data)
{
	struct pk_call call = {
		.body = descriptor,
		.size = sizeof(*descriptor),
		.answer = data,
		.capacity = room_of(descriptor),
	};

	descriptor->status = pk_request_serve(carrier, descriptor->op, &call);
	descriptor->result = call.answered;
}

bool pk_request_needs_timers(enum pk_carrier carrier, u16 number, const void *body, u64 size)
{
	const struct pk_operation *operation = pk_operation_find(number, carrier);
	const struct pk_handle_request *request = body;

	if (operation && operation->timers == PK_TIMERS_NEVER)
		return false;
	return !operation || operation->timers == PK_TIMERS_ALWAYS || size < sizeof(*request) ||
	       !pk_handle_is_known_to_poll(request->handle);
}

bool pk_descriptor_needs_timers(enum pk_carrier carrier, const struct pk_descriptor *descriptor)
{
	const struct pk_operation *operation = pk_operation_find(descriptor->op, carrier);

	if (descriptor->flags & PK_REQUEST_TIMERS)
		return true;
	/* What is refused needs nothing. */
	if (!operation || operation->timers == PK_TIMERS_NEVER)
		return false;
	return operation->timers == PK_TIMERS_ALWAYS || pk_handle_needs_timers(descriptor->handle);
}

static bool answers_data(u16 number)
{
	const struct pk_operation *operation = pk_operation_find(number, PK_CARRIER_TRANSFER);

	return operation && !operation->only_read;
}

efi_status_t pk_transfer(struct pk_call *call)
{
	struct pk_descriptor descriptor = *(const struct pk_descriptor *)call->body;
	u64 given = call->size - sizeof(descriptor), room = room_of(&descriptor);
	u8 *data = (u8 *)call->answer + sizeof(descriptor);

	if (call->capacity < sizeof(descriptor) || room > call->capacity - sizeof(descriptor) || given > room)
		return EFI_BAD_BUFFER_SIZE;
	memset(call->answer, 0, sizeof(descriptor) + room);
	memcpy(data, (const u8 *)call->body + sizeof(descriptor), given);
	pk_descriptor_serve(PK_CARRIER_TRANSFER, &descriptor, data);
	memcpy(call->answer, &descriptor, sizeof(descriptor));
	call->answered = sizeof(descriptor) + (answers_data(descriptor.op) ? room : 0);
	return EFI_SUCCESS;
}
