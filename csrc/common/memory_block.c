// SPDX-License-Identifier: Apache-2.0
/* Reads and writes of whole blocks that lie in memory. */
#include <common/mem.h>
#include <common/memory_block.h>

enum { BLOCK_IO_REVISION = 0x00010000 };

static struct pk_memory_block *block_of(struct efi_block_io *io)
{
	return (struct pk_memory_block *)((u8 *)io - offsetof(struct pk_memory_block, io));
}

/* The memory behind size bytes from lba on. */
static efi_status_t find(struct efi_block_io *io, u32 media_id, u64 lba, u64 size, const void *buffer, void **ret)
{
	const struct pk_memory_block *block = block_of(io);
	const struct efi_block_io_media *media = &block->media;
	u64 nr_blocks = size / media->block_size;

	if (media_id != media->media_id)
		return EFI_MEDIA_CHANGED;
	if (!buffer && size)
		return EFI_INVALID_PARAMETER;
	if (size % media->block_size)
		return EFI_BAD_BUFFER_SIZE;
	if (lba > media->last_block || nr_blocks > media->last_block - lba + 1)
		return EFI_INVALID_PARAMETER;
	*ret = (void *)(block->start + lba * media->block_size);
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI reset(struct efi_block_io *io, u8 extended)
{
	(void)io;
	(void)extended;
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI read_blocks(struct efi_block_io *io, u32 media_id, u64 lba, u64 size, void *buffer)
{
	efi_status_t status;
	void *memory;

	status = find(io, media_id, lba, size, buffer, &memory);
	if (!EFI_ERROR(status))
		memcpy(buffer, memory, size);
	return status;
}

static efi_status_t EFIAPI write_blocks(struct efi_block_io *io, u32 media_id, u64 lba, u64 size, void *buffer)
{
	efi_status_t status;
	void *memory;

	status = find(io, media_id, lba, size, buffer, &memory);
	if (EFI_ERROR(status))
		return status;
	if (io->media->read_only)
		return EFI_WRITE_PROTECTED;
	memcpy(memory, buffer, size);
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI flush_blocks(struct efi_block_io *io)
{
	(void)io;
	return EFI_SUCCESS;
}

bool pk_memory_block_init(struct pk_memory_block *block, u64 start, u64 size, u32 block_size, bool read_only)
{
	if (!size || size % block_size)
		return false;
	*block = (struct pk_memory_block){
		.io = {
			.revision = BLOCK_IO_REVISION,
			.media = &block->media,
			.reset = reset,
			.read_blocks = read_blocks,
			.write_blocks = write_blocks,
			.flush_blocks = flush_blocks,
		},
		.media = {
			.media_present = true,
			.read_only = read_only,
			.block_size = block_size,
			.io_align = 1,
			.last_block = size / block_size - 1,
		},
		.start = start,
	};
	return true;
}
