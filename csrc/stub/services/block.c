// SPDX-License-Identifier: Apache-2.0
/* Block I/O for Linux: what a disk is, reads, writes, flushes; and the firmware told of what was written. */
#include <stub/lib/string.h>
#include <stub/lib/stub.h>
#include <stub/lib/test.h>
#include <stub/services/block.h>
#include <stub/services/identity.h>
#include <stub/services/timers.h>

enum { BOUNCE_SIZE = 256 * 1024 };

/* For data whose place does not suit the device. */
static u8 bounce[BOUNCE_SIZE] __attribute__((aligned(PK_PAGE_SIZE)));

void pk_block_wipe(void)
{
	memset(bounce, 0, sizeof(bounce));
}

efi_status_t pk_block_info(struct pk_call *call)
{
	const struct pk_handle_request *request = call->body;
	struct pk_interface interface;
	struct efi_block_io *block;
	struct pk_block_info reply;
	efi_status_t status;

	if (call->capacity < sizeof(reply))
		return EFI_BUFFER_TOO_SMALL;
	/* So that it is known the next time. */
	pk_handle_needs_timers(request->handle);
	status = pk_interface_borrow(request->handle, &efi_guid_block_io, &interface);
	if (EFI_ERROR(status))
		return status;
	block = interface.block;
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
	pk_interface_return(&interface);
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
	/* The medium may be another one after any call, its blocks of another size, or of none. */
	u32 block_size = block->media->block_size;
	u64 step = BOUNCE_SIZE / block_size * block_size;
	efi_status_t status = EFI_SUCCESS;
	u64 done = 0;

	if (!step)
		return EFI_UNSUPPORTED;
	while (done < d->size && !EFI_ERROR(status)) {
		u64 size = d->size - done < step ? d->size - done : step;

		if (d->op == PK_OP_BLOCK_WRITE)
			memcpy(bounce, data + done, size);
		status = move(block, d, d->lba + done / block_size, size, bounce);
		if (EFI_ERROR(status))
			break;
		if (d->op == PK_OP_BLOCK_READ)
			memcpy(data + done, bounce, size);
		done += size;
	}
	*ret_done = done;
	return status;
}

static efi_status_t transfer(struct efi_block_io *block, const struct pk_descriptor *d, u8 *data, u64 *ret_done)
{
	efi_status_t status;
	u64 nr_blocks;

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
		if (pk_test_read_only(block->media->read_only))
			return EFI_WRITE_PROTECTED;
		pk_handle_notes(d->handle)->written = true;
	}
	if (block->media->io_align > 1 && (u64)data % block->media->io_align)
		return move_by_bounce(block, d, data, ret_done);
	status = move(block, d, d->lba, d->size, data);
	if (!EFI_ERROR(status))
		*ret_done = d->size;
	return status;
}

static efi_status_t serve(const struct pk_descriptor *d, u8 *data, u64 *ret_done)
{
	struct pk_interface interface;
	efi_status_t status;

	status = pk_interface_borrow(d->handle, &efi_guid_block_io, &interface);
	if (EFI_ERROR(status))
		return status;
	status = transfer(interface.block, d, data, ret_done);
	pk_interface_return(&interface);
	return status;
}

efi_status_t pk_block_transfer(struct pk_call *call)
{
	return serve(call->body, call->answer, &call->answered);
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
	return serve(&d, call->answer, &call->answered);
}

void pk_block_reconnect(void)
{
	for (u32 number = 0; (number = pk_handle_after(number));) {
		struct pk_handle_notes *notes = pk_handle_notes(number);

		/* It may have gone just now. */
		if (!notes || !notes->written)
			continue;
		notes->written = false;
		/* What firmware does itself when a medium has changed: drivers above let go and look again. */
		pk_interface_reinstall(number, &efi_guid_block_io);
	}
}

efi_status_t pk_block_refresh(struct pk_call *call)
{
	(void)call;
	pk_block_reconnect();
	return EFI_SUCCESS;
}
