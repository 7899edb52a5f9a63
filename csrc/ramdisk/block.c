// SPDX-License-Identifier: Apache-2.0
/* Block I/O on memory (UEFI 2.10, 13.9). */
#include "ramdisk.h"

enum {
	DISK_BLOCK_SIZE		= 512,
	CD_BLOCK_SIZE		= 2048,
	BLOCK_IO_REVISION	= 0x00010000,
};

static struct disk *disk_of(struct efi_block_io *io)
{
	return (struct disk *)((u8 *)io - offsetof(struct disk, io));
}

/* The memory behind size bytes from lba on. */
static efi_status_t find(struct disk *disk, u32 media_id, u64 lba, u64 size, const void *buffer, void **ret)
{
	u64 nr_blocks = size / disk->media.block_size;

	if (media_id != disk->media.media_id)
		return EFI_MEDIA_CHANGED;
	if (!buffer && size)
		return EFI_INVALID_PARAMETER;
	if (size % disk->media.block_size)
		return EFI_BAD_BUFFER_SIZE;
	if (lba > disk->media.last_block || nr_blocks > disk->media.last_block - lba + 1)
		return EFI_INVALID_PARAMETER;
	*ret = (void *)(disk->start + lba * disk->media.block_size);
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI reset(struct efi_block_io *this, u8 extended)
{
	(void)this;
	(void)extended;
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI read_blocks(struct efi_block_io *this, u32 media_id, u64 lba, u64 size, void *buffer)
{
	efi_status_t status;
	void *memory;

	status = find(disk_of(this), media_id, lba, size, buffer, &memory);
	if (!EFI_ERROR(status))
		memcpy(buffer, memory, size);
	return status;
}

static efi_status_t EFIAPI write_blocks(struct efi_block_io *this, u32 media_id, u64 lba, u64 size, void *buffer)
{
	efi_status_t status;
	void *memory;

	status = find(disk_of(this), media_id, lba, size, buffer, &memory);
	if (EFI_ERROR(status))
		return status;
	if (this->media->read_only)
		return EFI_WRITE_PROTECTED;
	memcpy(memory, buffer, size);
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI flush_blocks(struct efi_block_io *this)
{
	(void)this;
	return EFI_SUCCESS;
}

bool block_init(struct disk *disk)
{
	bool cd = !memcmp(&disk->type, &efi_guid_virtual_cd, sizeof(disk->type)) ||
		  !memcmp(&disk->type, &efi_guid_persistent_virtual_cd, sizeof(disk->type));
	u32 block_size = cd ? CD_BLOCK_SIZE : DISK_BLOCK_SIZE;

	if (disk->size % block_size)
		return false;
	disk->media = (struct efi_block_io_media){
		.media_present = true,
		.read_only = cd,
		.block_size = block_size,
		.io_align = 1,
		.last_block = disk->size / block_size - 1,
	};
	disk->io = (struct efi_block_io){
		.revision = BLOCK_IO_REVISION,
		.media = &disk->media,
		.reset = reset,
		.read_blocks = read_blocks,
		.write_blocks = write_blocks,
		.flush_blocks = flush_blocks,
	};
	return true;
}
