// SPDX-License-Identifier: Apache-2.0
/* Simple Network for Linux: NICs taken from the firmware, frames exchanged in batches, NICs given back. */
#include "devices.h"

static efi_status_t put(const void *reply, u64 size, void *out, u64 capacity, u64 *ret_size)
{
	if (capacity < size)
		return EFI_BUFFER_TOO_SMALL;
	memcpy(out, reply, size);
	*ret_size = size;
	return EFI_SUCCESS;
}

efi_status_t pk_net_info(u32 handle, void *out, u64 capacity, u64 *ret_size)
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

void pk_net_init(void)
{
}

void pk_net_release(void)
{
}

efi_status_t pk_net_open(u32 handle, void *out, u64 capacity, u64 *ret_size)
{
	(void)handle, (void)out, (void)capacity, (void)ret_size;
	return EFI_UNSUPPORTED;
}

efi_status_t pk_net_close(u32 handle)
{
	(void)handle;
	return EFI_UNSUPPORTED;
}

efi_status_t pk_net_exchange(struct pk_descriptor *descriptor, u8 *data)
{
	(void)descriptor, (void)data;
	return EFI_UNSUPPORTED;
}

efi_status_t pk_net_statistics(u32 handle, void *out, u64 capacity, u64 *ret_size)
{
	(void)handle, (void)out, (void)capacity, (void)ret_size;
	return EFI_UNSUPPORTED;
}

efi_status_t pk_net_pxe(u32 handle, void *out, u64 capacity, u64 *ret_size)
{
	(void)handle, (void)out, (void)capacity, (void)ret_size;
	return EFI_UNSUPPORTED;
}
