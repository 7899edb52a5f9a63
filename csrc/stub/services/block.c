// SPDX-License-Identifier: Apache-2.0
/* Block I/O for Linux: what a disk is, reads, writes, flushes; and the firmware told of what was written. */
#include <stub/gate/gate.h>
#include <stub/lib/string.h>
#include <stub/lib/stub.h>
#include <stub/services/block.h>
#include <stub/services/handles.h>
#include <stub/services/timers.h>

enum { BOUNCE_SIZE = 256 * 1024 };

/* For data whose place does not suit the device. */
static u8 bounce[BOUNCE_SIZE] __attribute__((aligned(PK_PAGE_SIZE)));

/* By handle number. */
static u8 written[PK_HANDLE_MAX + 1];
static bool any_written;

/* The disk that was looked up last. */
static struct {
	u32 handle;
	struct efi_block_io *block;
	u64 epoch;
} last;

void pk_block_wipe(void)
{
	memset(bounce, 0, sizeof(bounce));
}

static efi_status_t lookup(u32 handle, struct efi_block_io **ret)
{
	u64 epoch = pk_handles_epoch();
	efi_status_t status;

	if (handle && handle == last.handle && last.epoch == epoch) {
		*ret = last.block;
		return EFI_SUCCESS;
	}
	status = pk_handle_lookup(handle, &efi_guid_block_io, (void **)ret);
	if (EFI_ERROR(status))
		return status;
	last.handle = handle;
	last.block = *ret;
	last.epoch = epoch;
	return EFI_SUCCESS;
}

efi_status_t pk_block_info(struct pk_call *call)
{
	const struct pk_handle_request *request = call->body;
	struct efi_block_io *block;
	struct pk_block_info reply;
	efi_status_t status;

	if (call->capacity < sizeof(reply))
		return EFI_BUFFER_TOO_SMALL;
	status = lookup(request->handle, &block);
	if (EFI_ERROR(status))
		return status;
	/* So that it is known the next time. */
	pk_handle_needs_timers(request->handle);
	/* Some drivers notice a medium only when they are asked for a block, whatever they answer. */
	if (block->media->removable_media && block->media->block_size && block->media->block_size <= BOUNCE_SIZE)
		block->read_blocks(block, block->media->media_id, 0, block->media->block_size, bounce);
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
	return pk_answer(call, &reply, sizeof(reply));
}

static efi_status_t move(struct efi_block_io *block, const struct pk_descriptor *d, u64 lba, u64 size, void *data)
{
	if (d->op == PK_OP_BLOCK_WRITE)
		return block->write_blocks(block, d->media_id, lba, size, data);
	return block->read_blocks(block, d->media_id, lba, size, data);
}

static efi_status_t move_by_bounce(struct efi_block_io *block, const struct pk_descriptor *d, u8 *data, u64 *ret_done)
{
	u64 step = BOUNCE_SIZE / block->media->block_size * block->media->block_size;
	efi_status_t status = EFI_SUCCESS;
	u64 done = 0;

	if (!step)
		return EFI_UNSUPPORTED;
	while (done < d->size && !EFI_ERROR(status)) {
		u64 size = d->size - done < step ? d->size - done : step;

		if (d->op == PK_OP_BLOCK_WRITE)
			memcpy(bounce, data + done, size);
		status = move(block, d, d->lba + done / block->media->block_size, size, bounce);
		if (EFI_ERROR(status))
			break;
		if (d->op == PK_OP_BLOCK_READ)
			memcpy(data + done, bounce, size);
		done += size;
	}
	*ret_done = done;
	return status;
}

static efi_status_t transfer(const struct pk_descriptor *d, u8 *data, u64 *ret_done)
{
	struct efi_block_io *block;
	efi_status_t status;
	u64 nr_blocks;

	status = lookup(d->handle, &block);
	if (EFI_ERROR(status))
		return status;
	if (d->op == PK_OP_BLOCK_FLUSH)
		return block->flush_blocks(block);
	if (!block->media->media_present || !block->media->block_size)
		return EFI_NO_MEDIA;
	if (d->media_id != block->media->media_id)
		return EFI_MEDIA_CHANGED;
	/* Not every firmware checks what the specification has it check (13.9). */
	nr_blocks = d->size / block->media->block_size;
	if (!d->size || d->size % block->media->block_size)
		return EFI_BAD_BUFFER_SIZE;
	if (d->lba > block->media->last_block || nr_blocks - 1 > block->media->last_block - d->lba)
		return EFI_INVALID_PARAMETER;
	if (d->op == PK_OP_BLOCK_WRITE) {
		written[d->handle] = 1;
		any_written = true;
	}
	if (block->media->io_align > 1 && (u64)data % block->media->io_align)
		return move_by_bounce(block, d, data, ret_done);
	status = move(block, d, d->lba, d->size, data);
	if (!EFI_ERROR(status))
		*ret_done = d->size;
	return status;
}

efi_status_t pk_block_transfer(struct pk_call *call)
{
	return transfer(call->body, call->answer, &call->answered);
}

efi_status_t pk_block_read(struct pk_call *call)
{
	const struct pk_block_request *request = call->body;
	struct pk_descriptor d = {
		.op = PK_OP_BLOCK_READ,
		.handle = request->handle,
		.size = request->size,
		.lba = request->lba,
		.media_id = request->media_id,
	};

	if (request->size > call->capacity)
		return EFI_BAD_BUFFER_SIZE;
	return transfer(&d, call->answer, &call->answered);
}

void pk_block_reconnect(void)
{
	struct efi_block_io *block;

	if (!any_written)
		return;
	any_written = false;
	for (u32 handle = 1; handle <= PK_HANDLE_MAX; handle++) {
		if (!written[handle])
			continue;
		written[handle] = 0;
		if (EFI_ERROR(pk_handle_lookup(handle, &efi_guid_block_io, (void **)&block)))
			continue;
		/* What firmware does itself when a medium has changed: drivers above let go and look again. */
		pk_bs->reinstall_protocol_interface(pk_handle_of(handle), &efi_guid_block_io, block, block);
	}
}

efi_status_t pk_block_refresh(struct pk_call *call)
{
	(void)call;
	pk_block_reconnect();
	return EFI_SUCCESS;
}
