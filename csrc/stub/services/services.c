// SPDX-License-Identifier: Apache-2.0
/* What the mailbox serves. Bodies are copies that Linux cannot change any more; every size is checked here. */
#include <stub/end/leave.h>
#include <stub/end/secrets.h>
#include <stub/end/staged.h>
#include <stub/gate/gate.h>
#include <stub/gate/state.h>
#include <stub/lib/boot_device.h>
#include <stub/lib/string.h>
#include <stub/lib/stub.h>
#include <stub/services/block.h>
#include <stub/services/handles.h>
#include <stub/services/image.h>
#include <stub/services/memory_map.h>
#include <stub/services/net.h>
#include <stub/services/pxe.h>
#include <stub/services/ramdisk.h>
#include <stub/services/services.h>
#include <stub/services/tcg2.h>
#include <stub/services/tpm.h>
#include <stub/services/transfer.h>
#include <stub/services/volume.h>

enum { SELF_TEST_MAX_US = 10000000 };

/* A reply of a fixed struct. */
static efi_status_t put(const void *reply, u64 size, void *out, u64 capacity, u64 *ret_size)
{
	if (capacity < size)
		return EFI_BUFFER_TOO_SMALL;
	memcpy(out, reply, size);
	*ret_size = size;
	return EFI_SUCCESS;
}

/* What stays as it is until the machine is reset, and takes milliseconds to ask for. */
static u32 firmware_flags;

void pk_services_init(bool measured)
{
	struct efi_tcg2_capability capability;
	struct efi_tcg2 *tcg2;
	u8 secure_boot = 0;
	u64 size = sizeof(secure_boot);

	if (!EFI_ERROR(pk_st->runtime->get_variable((u16 *)u"SecureBoot", (efi_guid_t *)&efi_guid_global_variable,
						    NULL, &size, &secure_boot)) && secure_boot)
		firmware_flags |= PK_INFO_SECURE_BOOT;
	if (!EFI_ERROR(pk_tcg2_locate(&tcg2, &capability)))
		firmware_flags |= PK_INFO_TPM;
	if (measured)
		firmware_flags |= PK_INFO_MEASURED;
}

static efi_status_t info(void *out, u64 capacity, u64 *ret_size)
{
	static struct pk_info reply;

	reply = (struct pk_info){
		.abi_version = PK_MESSAGE_VERSION,
		.firmware_revision = pk_st->firmware_revision,
		.uefi_revision = pk_st->hdr.revision,
		.tsc_khz = pk_handoff.tsc_khz,
		.nr_switches = pk_gate_statistics.nr_switches + pk_gate_statistics.nr_lean_switches,
		.arena_peak = pk_arena_peak(),
		.boot_volume = pk_handle_number(pk_boot_device()),
		.nr_handles = pk_handles_count(),
		.outcome = pk_handoff.outcome,
	};
	reply.flags |= firmware_flags;
	if (pk_handoff.outcome.nr_runs && pk_handoff.outcome.action == PK_ACTION_SHELL)
		reply.flags |= PK_INFO_SHELL;
	for (u32 i = 0; i < 63 && pk_st->firmware_vendor && pk_st->firmware_vendor[i]; i++)
		reply.vendor[i] = pk_st->firmware_vendor[i];
	pk_image_path(reply.image_path, sizeof(reply.image_path));
	return put(&reply, sizeof(reply), out, capacity, ret_size);
}

static volatile u64 nr_ticks;

static void EFIAPI count_tick(efi_event_t event, void *context)
{
	(void)event;
	(void)context;
	nr_ticks++;
}

static efi_status_t self_test(const struct pk_self_test_request *request, void *out, u64 capacity, u64 *ret_size)
{
	struct pk_self_test_reply reply;
	efi_event_t event;
	efi_status_t status;

	if (!request->period_us || request->duration_us > SELF_TEST_MAX_US)
		return EFI_INVALID_PARAMETER;
	status = pk_bs->create_event((u32)EFI_EVT_TIMER | EFI_EVT_NOTIFY_SIGNAL, EFI_TPL_CALLBACK, count_tick, NULL,
				     &event);
	if (EFI_ERROR(status))
		return status;
	nr_ticks = 0;
	status = pk_bs->set_timer(event, EFI_TIMER_PERIODIC, (u64)request->period_us * 10);
	if (!EFI_ERROR(status))
		status = pk_bs->stall(request->duration_us);
	pk_bs->close_event(event);
	if (EFI_ERROR(status))
		return status;
	reply = (struct pk_self_test_reply){
		.nr_ticks = nr_ticks,
		.nr_switches = pk_gate_statistics.nr_switches + pk_gate_statistics.nr_lean_switches,
		.nr_stale_eois = pk_gate_statistics.nr_stale_eois,
		.nr_drained = pk_gate_statistics.nr_drained,
	};
	return put(&reply, sizeof(reply), out, capacity, ret_size);
}

static efi_status_t connect_all(void)
{
	efi_handle_t *handles;
	efi_status_t status;
	u64 nr_handles;

	status = pk_bs->locate_handle_buffer(EFI_ALL_HANDLES, NULL, NULL, &nr_handles, &handles);
	if (EFI_ERROR(status))
		return status;
	/* Most handles have no driver: that is no failure. */
	for (u64 i = 0; i < nr_handles; i++)
		pk_bs->connect_controller(handles[i], NULL, NULL, true);
	pk_bs->free_pool(handles);
	return EFI_SUCCESS;
}

static efi_status_t console(const u16 *text, u64 size)
{
	if (size < 2 || size % 2 || text[size / 2 - 1])
		return EFI_INVALID_PARAMETER;
	if (!pk_st->con_out)
		return EFI_UNSUPPORTED;
	return pk_st->con_out->output_string(pk_st->con_out, (u16 *)text);
}

/* A descriptor and its data as one message: where there is no window. */
static efi_status_t transfer(const struct pk_descriptor *request, u64 body_size, u8 *out, u64 capacity, u64 *ret_size)
{
	struct pk_descriptor descriptor = *request;
	u64 room = descriptor.size > descriptor.capacity ? descriptor.size : descriptor.capacity;
	u64 given = body_size - sizeof(descriptor);

	if (capacity < sizeof(descriptor) || room > capacity - sizeof(descriptor) || given > room)
		return EFI_BAD_BUFFER_SIZE;
	memset(out, 0, sizeof(descriptor) + room);
	memcpy(out + sizeof(descriptor), request + 1, given);
	pk_transfer(&descriptor, out + sizeof(descriptor));
	memcpy(out, &descriptor, sizeof(descriptor));
	*ret_size = sizeof(descriptor) + (descriptor.op == PK_OP_BLOCK_WRITE ? 0 : room);
	return EFI_SUCCESS;
}

/* The smallest body of each request; bodies are 8-byte aligned. */
static u64 smallest_body(u16 op)
{
	switch (op) {
	case PK_OP_HANDLES: return sizeof(struct pk_handles_request);
	case PK_OP_MEMORY_MAP: return sizeof(struct pk_memory_map_request);
	case PK_OP_SELF_TEST: return sizeof(struct pk_self_test_request);
	case PK_OP_FILE_READ: return sizeof(struct pk_file_request);
	case PK_OP_TRANSFER: return sizeof(struct pk_descriptor);
	case PK_OP_BLOCK_READ: return sizeof(struct pk_block_request);
	case PK_OP_VOLUME_INFO:
	case PK_OP_BLOCK_INFO:
	case PK_OP_NET_INFO:
	case PK_OP_NET_OPEN:
	case PK_OP_NET_CLOSE:
	case PK_OP_NET_STATISTICS:
	case PK_OP_NET_PXE: return sizeof(struct pk_handle_request);
	case PK_OP_TPM_EVENT_LOG: return sizeof(struct pk_event_log_request);
	case PK_OP_TPM_EVENT: return sizeof(struct pk_tpm_event);
	case PK_OP_RAMDISK_CREATE: return sizeof(struct pk_ramdisk_request);
	case PK_OP_RAMDISK_DATA: return sizeof(struct pk_ramdisk_data);
	case PK_OP_RAMDISK_REGISTER:
	case PK_OP_RAMDISK_REMOVE: return sizeof(struct pk_ramdisk_number);
	case PK_OP_LEAVE: return sizeof(struct pk_leave_request);
	default: return 0;
	}
}

static efi_status_t device_service(u16 op, const void *body, u64 body_size, void *out, u64 capacity, u64 *ret_size)
{
	/* The first word of every request that has no other form. */
	u32 number = body_size >= sizeof(number) ? *(const u32 *)body : 0;

	switch (op) {
	case PK_OP_BLOCK_INFO:
		return pk_block_info(number, out, capacity, ret_size);
	case PK_OP_BLOCK_READ:
		return pk_block_read(body, out, capacity, ret_size);
	case PK_OP_BLOCK_REFRESH:
		return pk_block_refresh();
	case PK_OP_NET_INFO:
		return pk_net_info(number, out, capacity, ret_size);
	case PK_OP_NET_OPEN:
		return pk_net_open(number, out, capacity, ret_size);
	case PK_OP_NET_CLOSE:
		return pk_net_close(number);
	case PK_OP_NET_STATISTICS:
		return pk_net_statistics(number, out, capacity, ret_size);
	case PK_OP_NET_PXE:
		return pk_net_pxe(number, out, capacity, ret_size);
	case PK_OP_TPM_INFO:
		return pk_tpm_info(out, capacity, ret_size);
	case PK_OP_TPM_EVENT_LOG:
		return pk_tpm_event_log(body, out, capacity, ret_size);
	case PK_OP_TPM_EVENT:
		return pk_tpm_event(body, body_size);
	case PK_OP_RAMDISK_CREATE:
		return pk_ramdisk_create(body, out, capacity, ret_size);
	case PK_OP_RAMDISK_DATA:
		return pk_ramdisk_data(body, body_size);
	case PK_OP_RAMDISK_REGISTER:
		return pk_ramdisk_register(number, out, capacity, ret_size);
	case PK_OP_RAMDISK_REMOVE:
		return pk_ramdisk_remove(number);
	case PK_OP_RAMDISK_LIST:
		return pk_ramdisk_list(out, capacity, ret_size);
	default:
		return EFI_UNSUPPORTED;
	}
}

efi_status_t pk_service(u16 op, const void *body, u64 body_size, void *out, u64 capacity, u64 *ret_size)
{
	if (body_size < smallest_body(op))
		return EFI_INVALID_PARAMETER;

	switch (op) {
	case PK_OP_INFO:
		return info(out, capacity, ret_size);
	case PK_OP_HANDOFF:
		return put(&pk_handoff, sizeof(pk_handoff), out, capacity, ret_size);
	case PK_OP_HANDLES:
		return pk_handles_list(((const struct pk_handles_request *)body)->first, out, capacity, ret_size);
	case PK_OP_MEMORY_MAP:
		return pk_memory_map(((const struct pk_memory_map_request *)body)->kind, out, capacity, ret_size);
	case PK_OP_STATE:
		return pk_state_report(out, capacity, ret_size);
	case PK_OP_SELF_TEST:
		return self_test(body, out, capacity, ret_size);
	case PK_OP_CONNECT:
		return connect_all();
	case PK_OP_CONSOLE:
		return console(body, body_size);
	case PK_OP_VOLUME_INFO:
		return pk_volume_info(((const struct pk_handle_request *)body)->handle, out, capacity, ret_size);
	case PK_OP_FILE_READ:
		return pk_file_read(body, body_size, out, capacity, ret_size);
	case PK_OP_BOOT_PATH:
		return pk_boot_path(out, capacity, ret_size);
	case PK_OP_TRANSFER:
		return transfer(body, body_size, out, capacity, ret_size);
	case PK_OP_SECRETS:
		return pk_secrets_announce();
	case PK_OP_PAYLOAD_STAGE:
		return pk_payload_stage(body, body_size);
	case PK_OP_PAYLOAD_DATA:
		return pk_payload_data(body, body_size);
	case PK_OP_LEAVE:
		return pk_leave_request(((const struct pk_leave_request *)body)->action);
	case PK_OP_IMAGE_START:
		return pk_image_start(out, capacity, ret_size);
	default:
		return device_service(op, body, body_size, out, capacity, ret_size);
	}
}
