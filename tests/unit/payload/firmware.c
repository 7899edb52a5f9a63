// SPDX-License-Identifier: Apache-2.0
/* In place of the firmware that the stand-in calls: a disk whose medium is changed, load options. */
#include <payload/bootmgr/bootmgr.h>
#include <stdlib.h>

enum { BLOCK_SIZE = 512 };

struct wbm wbm;
static struct efi_block_io_media media;
static struct efi_block_io interfaces[2], *io;
static u32 nr_changes, nr_reads, nr_opens, nr_closes;

efi_status_t wbm_failed(const char *what, efi_status_t status)
{
	(void)what;
	return status;
}

void wbm_report(const char *name, bool places, const u64 *values, u32 nr_values)
{
	(void)name;
	(void)places;
	(void)values;
	(void)nr_values;
}

void wbm_report_bytes(const char *name, const void *data, u64 size)
{
	(void)name;
	(void)data;
	(void)size;
}

void *wbm_allocate(u64 size)
{
	return calloc(1, size);
}

efi_status_t wbm_find_volumes(void)
{
	return EFI_SUCCESS;
}

u64 wbm_firmware_call(u64 function, const u64 *arguments, u32 nr_arguments)
{
	u64 words[WBM_ARGUMENTS_MAX] = { 0 };

	memcpy(words, arguments, nr_arguments * sizeof(u64));
	return ((u64 (EFIAPI *)(u64, u64, u64, u64, u64, u64))function)(words[0], words[1], words[2], words[3],
									words[4], words[5]);
}

static efi_status_t EFIAPI read_blocks(struct efi_block_io *this, u32 media_id, u64 lba, u64 size, void *buffer)
{
	nr_reads++;
	if (this != io || media_id != media.media_id || nr_changes) {
		nr_changes -= !!nr_changes;
		return EFI_MEDIA_CHANGED;
	}
	memset(buffer, (int)lba, size);
	return EFI_SUCCESS;
}

/* Each has another interface, and the one before is no more. */
static efi_status_t EFIAPI open_protocol(efi_handle_t handle, const efi_guid_t *guid, void **ret, efi_handle_t agent,
					 efi_handle_t controller, u32 attributes)
{
	(void)handle;
	(void)guid;
	(void)agent;
	(void)controller;
	(void)attributes;
	media.media_id++;
	io = &interfaces[io == interfaces];
	*io = (struct efi_block_io){ .media = &media, .read_blocks = read_blocks };
	*ret = io;
	nr_opens++;
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI close_protocol(efi_handle_t handle, const efi_guid_t *guid, efi_handle_t agent,
					  efi_handle_t controller)
{
	(void)handle;
	(void)guid;
	(void)agent;
	(void)controller;
	nr_closes++;
	return EFI_SUCCESS;
}

/* Read twice from a disk whose medium is changed so often before; how often it was read, opened, closed. */
efi_status_t pk_test_media(u32 changes, u32 *ret_counts)
{
	static struct efi_boot_services services = { .open_protocol = open_protocol, .close_protocol = close_protocol };
	u8 block[BLOCK_SIZE];
	efi_status_t status;

	wbm.bs = &services;
	wbm.disks[1] = (struct wbm_disk){ .block_size = BLOCK_SIZE };
	open_protocol(NULL, NULL, (void **)&wbm.disks[1].io, NULL, NULL, 0);
	nr_changes = changes;
	nr_reads = nr_opens = nr_closes = 0;
	status = wbm_read_blocks(&wbm.disks[1], 7, sizeof(block), block);
	if (!EFI_ERROR(status) && block[BLOCK_SIZE - 1] != 7)
		status = EFI_ABORTED;
	if (!EFI_ERROR(status))
		status = wbm_read_blocks(&wbm.disks[1], 8, sizeof(block), block);
	ret_counts[0] = nr_reads;
	ret_counts[1] = nr_opens;
	ret_counts[2] = nr_closes;
	return status;
}

/* Load options, and what is said of BCDOBJECT in them. */
efi_status_t pk_test_options(void *data, u32 size, const char *object, bool *ret_is)
{
	static struct efi_loaded_image image;
	efi_status_t status;

	image.load_options = data;
	image.load_options_size = size;
	wbm.image = &image;
	status = wbm_options_init();
	*ret_is = !EFI_ERROR(status) && wbm_option_is("BCDOBJECT", object);
	return status;
}
