// SPDX-License-Identifier: Apache-2.0
/* What the mailbox serves. Bodies are copies that Linux cannot change any more; every size is checked here. */
#include "stub.h"
#include "state.h"
#include "volume.h"

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

static efi_status_t info(void *out, u64 capacity, u64 *ret_size)
{
	static struct pk_info reply;
	struct efi_tcg2_capability capability;
	struct efi_tcg2 *tcg2;
	u8 secure_boot = 0;
	u64 size = sizeof(secure_boot);

	reply = (struct pk_info){
		.abi_version = PK_MESSAGE_VERSION,
		.firmware_revision = pk_st->firmware_revision,
		.uefi_revision = pk_st->hdr.revision,
		.tsc_khz = pk_handoff.tsc_khz,
		.nr_switches = pk_gate_statistics.nr_switches,
		.arena_peak = pk_arena_peak(),
		.boot_volume = pk_handle_number(pk_loaded_image->device_handle),
		.nr_handles = pk_handles_count(),
		.outcome = pk_handoff.outcome,
	};
	if (!EFI_ERROR(pk_st->runtime->get_variable((u16 *)u"SecureBoot", (efi_guid_t *)&efi_guid_global_variable,
						    NULL, &size, &secure_boot)) && secure_boot)
		reply.flags |= PK_INFO_SECURE_BOOT;
	if (!EFI_ERROR(pk_tcg2_locate(&tcg2, &capability)))
		reply.flags |= PK_INFO_TPM;
	if (pk_measured)
		reply.flags |= PK_INFO_MEASURED;
	if (pk_handoff.outcome.nr_runs && pk_handoff.outcome.action == PK_ACTION_SHELL)
		reply.flags |= PK_INFO_SHELL;
	for (u32 i = 0; i < 63 && pk_st->firmware_vendor && pk_st->firmware_vendor[i]; i++)
		reply.vendor[i] = pk_st->firmware_vendor[i];
	pk_image_path(reply.image_path, sizeof(reply.image_path));
	return put(&reply, sizeof(reply), out, capacity, ret_size);
}

static efi_status_t memory_map(u32 kind, void *out, u64 capacity, u64 *ret_size)
{
	struct pk_memory_map_reply *reply = out;
	u64 size, step, key;
	efi_status_t status;
	u32 version;

	if (capacity < sizeof(*reply))
		return EFI_BUFFER_TOO_SMALL;
	size = capacity - sizeof(*reply);
	if (kind == PK_MEMORY_MAP_LINUX)
		status = pk_linux_memory_map(reply + 1, size, &size, &step, &version);
	else if (kind == PK_MEMORY_MAP_FIRMWARE)
		status = pk_bs->get_memory_map(&size, reply + 1, &key, &step, &version);
	else
		status = EFI_INVALID_PARAMETER;
	if (EFI_ERROR(status))
		return status;
	*reply = (struct pk_memory_map_reply){ (u32)step, (u32)(size / step) };
	*ret_size = sizeof(*reply) + size;
	return EFI_SUCCESS;
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
		.nr_switches = pk_gate_statistics.nr_switches,
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

static efi_status_t block_info(u32 handle, void *out, u64 capacity, u64 *ret_size)
{
	struct pk_block_info reply;
	struct efi_block_io *block;
	efi_status_t status;

	status = pk_handle_lookup(handle, &efi_guid_block_io, (void **)&block);
	if (EFI_ERROR(status))
		return status;
	reply = (struct pk_block_info){
		.last_lba = block->media->last_block,
		.block_size = block->media->block_size,
		.media_id = block->media->media_id,
		.io_align = block->media->io_align,
		.flags = (block->media->media_present ? PK_BLOCK_PRESENT : 0) |
			 (block->media->logical_partition ? PK_BLOCK_LOGICAL : 0) |
			 (block->media->read_only ? PK_BLOCK_READ_ONLY : 0) |
			 (block->media->removable_media ? PK_BLOCK_REMOVABLE : 0) |
			 (block->media->write_caching ? PK_BLOCK_WRITE_CACHING : 0),
	};
	return put(&reply, sizeof(reply), out, capacity, ret_size);
}

static efi_status_t block_read(const struct pk_block_request *request, void *out, u64 capacity, u64 *ret_size)
{
	struct efi_block_io *block;
	efi_status_t status;
	u64 align;

	if (request->size > capacity)
		return EFI_BAD_BUFFER_SIZE;
	status = pk_handle_lookup(request->handle, &efi_guid_block_io, (void **)&block);
	if (EFI_ERROR(status))
		return status;
	align = block->media->io_align > 1 ? block->media->io_align : 1;
	if ((u64)out % align) {
		/* The reply's place in the message is not the medium's: read at the next boundary, then move. */
		u64 shift = align - (u64)out % align;

		if (request->size + shift > capacity)
			return EFI_BAD_BUFFER_SIZE;
		status = block->read_blocks(block, request->media_id, request->lba, request->size, (u8 *)out + shift);
		if (!EFI_ERROR(status))
			memmove(out, (u8 *)out + shift, request->size);
	} else {
		status = block->read_blocks(block, request->media_id, request->lba, request->size, out);
	}
	if (!EFI_ERROR(status))
		*ret_size = request->size;
	return status;
}

static efi_status_t net_info(u32 handle, void *out, u64 capacity, u64 *ret_size)
{
	struct efi_simple_network *network;
	struct pk_net_info reply;
	efi_status_t status;

	status = pk_handle_lookup(handle, &efi_guid_simple_network, (void **)&network);
	if (EFI_ERROR(status))
		return status;
	reply = (struct pk_net_info){
		.state = network->mode->state,
		.media_present = network->mode->media_present,
		.address_size = network->mode->hw_address_size <= 32 ? network->mode->hw_address_size : 0,
		.max_packet_size = network->mode->max_packet_size,
	};
	memcpy(reply.address, network->mode->current_address, reply.address_size);
	return put(&reply, sizeof(reply), out, capacity, ret_size);
}

static efi_status_t tpm_info(void *out, u64 capacity, u64 *ret_size)
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
	return put(&reply, sizeof(reply), out, capacity, ret_size);
}

static efi_status_t leave(const struct pk_leave_request *request)
{
	if (request->action > PK_ACTION_PAYLOAD)
		return EFI_INVALID_PARAMETER;
	if (request->action == PK_ACTION_PAYLOAD && !pk_payload_ready())
		return EFI_NOT_READY;
	pk_leave = (struct pk_leave){
		.requested = true,
		.action = request->action,
		.reset_type = EFI_RESET_COLD,
	};
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
	case PK_OP_BLOCK_READ: return sizeof(struct pk_block_request);
	case PK_OP_VOLUME_INFO:
	case PK_OP_BLOCK_INFO:
	case PK_OP_NET_INFO: return sizeof(struct pk_handle_request);
	case PK_OP_LEAVE: return sizeof(struct pk_leave_request);
	default: return 0;
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
		return memory_map(((const struct pk_memory_map_request *)body)->kind, out, capacity, ret_size);
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
	case PK_OP_BLOCK_INFO:
		return block_info(((const struct pk_handle_request *)body)->handle, out, capacity, ret_size);
	case PK_OP_BLOCK_READ:
		return block_read(body, out, capacity, ret_size);
	case PK_OP_NET_INFO:
		return net_info(((const struct pk_handle_request *)body)->handle, out, capacity, ret_size);
	case PK_OP_TPM_INFO:
		return tpm_info(out, capacity, ret_size);
	case PK_OP_PAYLOAD_STAGE:
		return pk_payload_stage(body, body_size);
	case PK_OP_PAYLOAD_DATA:
		return pk_payload_data(body, body_size);
	case PK_OP_LEAVE:
		return leave(body);
	default:
		return EFI_UNSUPPORTED;
	}
}
