// SPDX-License-Identifier: Apache-2.0
/* Step 5: every disk that has Block I/O, our reading of it, and drivers for all that has none yet. */
#include <common/device_path.h>
#include <payload/bootmgr/bootmgr.h>

enum {
	HANDLES_MAX	= 1024,
	PATH_MAX	= 4096,
	BOUNCE_SIZE	= 128 * 1024,
	TRIES		= 3,
};

static u8 *bounce;

static efi_status_t locate(const efi_guid_t *guid, efi_handle_t *handles, u32 *ret_nr)
{
	u64 size = 0;

	wbm_need(wbm_call(wbm.bs->locate_handle, EFI_BY_PROTOCOL, guid, NULL, &size, NULL) == EFI_BUFFER_TOO_SMALL);
	wbm_need(size <= HANDLES_MAX * sizeof(*handles));
	wbm_try(wbm_call(wbm.bs->locate_handle, EFI_BY_PROTOCOL, guid, NULL, &size, handles));
	*ret_nr = (u32)(size / sizeof(*handles));
	return EFI_SUCCESS;
}

static efi_status_t open(efi_handle_t handle, const efi_guid_t *guid, void **ret)
{
	return wbm_call(wbm.bs->open_protocol, handle, guid, ret, wbm.image_handle, NULL,
			EFI_OPEN_PROTOCOL_GET_PROTOCOL);
}

/* A medium that has changed is opened anew, twice at most. */
efi_status_t wbm_read_blocks(const struct wbm_disk *disk, u64 lba, u64 size, void *buffer)
{
	struct efi_block_io *io = disk->io;
	efi_status_t status = EFI_MEDIA_CHANGED;

	for (u32 i = 0; i < TRIES && status == EFI_MEDIA_CHANGED; i++) {
		status = wbm_call(io->read_blocks, io, io->media->media_id, lba, size, buffer);
		if (status != EFI_MEDIA_CHANGED)
			break;
		wbm_call(wbm.bs->close_protocol, disk->handle, &efi_guid_block_io, wbm.image_handle, NULL);
		if (EFI_ERROR(open(disk->handle, &efi_guid_block_io, (void **)&io)))
			return EFI_NO_MEDIA;
		/* What was there before may be gone. */
		wbm.disks[disk - wbm.disks].io = io;
	}
	return status;
}

efi_status_t wbm_read(const struct wbm_volume *volume, u64 offset, u64 size, void *buffer)
{
	const struct wbm_disk *disk = volume->disk;

	if (offset > volume->size || size > volume->size - offset)
		return EFI_END_OF_MEDIA;
	while (size) {
		u64 at = volume->start + offset, skip = at % disk->block_size;
		u64 part = size < BOUNCE_SIZE - skip ? size : BOUNCE_SIZE - skip;
		u64 whole = (skip + part + disk->block_size - 1) / disk->block_size * disk->block_size;
		efi_status_t status = wbm_read_blocks(disk, at / disk->block_size, whole, bounce);

		if (EFI_ERROR(status))
			return status;
		memcpy(buffer, bounce + skip, part);
		buffer = (u8 *)buffer + part;
		offset += part;
		size -= part;
	}
	return EFI_SUCCESS;
}

/* The last node but the end. */
static const struct efi_device_path *last_node(const struct efi_device_path *path)
{
	const struct efi_device_path *last = path;

	while (path->type != EFI_DP_END) {
		last = path;
		path = (const void *)((const u8 *)path + (path->length[0] | path->length[1] << 8));
	}
	return last;
}

static bool is_below(const struct wbm_disk *child, const struct wbm_disk *parent)
{
	u64 size = parent->path_size - sizeof(struct efi_device_path);

	return child != parent && child->path_size > parent->path_size && !memcmp(child->path, parent->path, size);
}

static efi_status_t add_disk(efi_handle_t handle)
{
	struct wbm_disk *disk = &wbm.disks[wbm.nr_disks];
	const struct efi_block_io_media *media;

	wbm_need(wbm.nr_disks < WBM_DISKS_MAX);
	*disk = (struct wbm_disk){ .handle = handle };
	wbm_try(open(handle, &efi_guid_block_io, (void **)&disk->io));
	if (EFI_ERROR(open(handle, &efi_guid_device_path, (void **)&disk->path)))
		return EFI_SUCCESS;
	media = disk->io->media;
	if (!media->media_present || !media->last_block)
		return EFI_SUCCESS;
	disk->path_size = pk_device_path_size(disk->path, PATH_MAX);
	wbm_need(disk->path_size);
	disk->last_block = media->last_block;
	disk->block_size = media->block_size;
	disk->alignment = media->io_align > media->block_size ? media->io_align : media->block_size;
	disk->removable = media->removable_media;
	disk->is_media = last_node(disk->path)->type == EFI_DP_MEDIA;
	disk->in_memory = disk->path->type == EFI_DP_MEDIA ||
			  (disk->path->type == EFI_DP_HARDWARE && disk->path->subtype == EFI_DP_HARDWARE_VENDOR);
	wbm.nr_disks++;
	return EFI_SUCCESS;
}

/* LBA 0 and the last one, at the alignment that Windows uses. */
static efi_status_t read_ends(const struct wbm_disk *disk)
{
	u8 digest[WBM_SHA256_SIZE];

	wbm_need(disk->block_size && disk->block_size <= BOUNCE_SIZE / 2 && (u64)bounce % disk->alignment == 0);
	wbm_try(wbm_read_blocks(disk, disk->last_block, disk->block_size, bounce));
	wbm_try(wbm_read_blocks(disk, 0, disk->block_size, bounce));
	wbm_sha256(bounce, disk->block_size, digest);
	wbm_report_bytes(disk->in_memory ? "ram" : "path", disk->path, disk->path_size);
	wbm_fact(disk->in_memory ? "ram" : "disk", disk->block_size, disk->last_block, disk->removable,
		 disk->io->media->read_only, disk->logical, digest[0], digest[1], digest[2], digest[3]);
	return EFI_SUCCESS;
}

static efi_status_t find_disks(efi_handle_t *handles)
{
	u32 nr, again;

	wbm_try(locate(&efi_guid_block_io, handles, &nr));
	wbm_try(locate(&efi_guid_block_io, handles, &again));
	wbm_need(nr == again);
	for (u32 i = 0; i < nr; i++)
		wbm_try(add_disk(handles[i]));
	for (u32 i = 0; i < wbm.nr_disks; i++)
		for (u32 j = 0; j < wbm.nr_disks; j++)
			wbm.disks[i].logical |= is_below(&wbm.disks[i], &wbm.disks[j]);
	for (u32 i = 0; i < wbm.nr_disks; i++)
		wbm_try(read_ends(&wbm.disks[i]));
	return EFI_SUCCESS;
}

/* What Windows does when it misses a device: it never comes back from a NIC that was only stopped. */
static efi_status_t connect_all(efi_handle_t *handles)
{
	u32 nr;

	wbm_try(locate(&efi_guid_device_path, handles, &nr));
	for (u32 i = 0; i < nr; i++)
		wbm_call(wbm.bs->connect_controller, handles[i], NULL, NULL, true);
	for (u32 i = 0; i < wbm.nr_disks; i++)
		wbm_try(wbm_read_blocks(&wbm.disks[i], 0, wbm.disks[i].block_size, bounce));
	return EFI_SUCCESS;
}

static bool has_driver(efi_handle_t handle)
{
	struct efi_open_protocol_information *users;
	u64 nr = 0;

	if (EFI_ERROR(wbm_call(wbm.bs->open_protocol_information, handle, &efi_guid_simple_network, &users, &nr)))
		return false;
	for (u64 i = 0; i < nr; i++)
		if (users[i].attributes & EFI_OPEN_PROTOCOL_BY_DRIVER)
			return true;
	return false;
}

/* A NIC that is at work for nobody would write into memory that is the operating system's by then. */
static efi_status_t check_nics(efi_handle_t *handles)
{
	struct efi_simple_network *network;
	u64 size = 0;
	u32 nr;

	if (wbm_call(wbm.bs->locate_handle, EFI_BY_PROTOCOL, &efi_guid_simple_network, NULL, &size, NULL) ==
	    EFI_NOT_FOUND)
		return EFI_SUCCESS;
	wbm_try(locate(&efi_guid_simple_network, handles, &nr));
	for (u32 i = 0; i < nr; i++) {
		wbm_try(open(handles[i], &efi_guid_simple_network, (void **)&network));
		wbm_need(network->mode->state == EFI_SIMPLE_NETWORK_STOPPED || has_driver(handles[i]));
	}
	return EFI_SUCCESS;
}

efi_status_t wbm_disks(void)
{
	efi_handle_t *handles = wbm_allocate(HANDLES_MAX * sizeof(*handles));

	bounce = wbm_allocate(BOUNCE_SIZE);
	wbm_need(handles && bounce);
	wbm_try(find_disks(handles));
	wbm_try(wbm_find_volumes());
	wbm_try(check_nics(handles));
	wbm_try(connect_all(handles));
	return EFI_SUCCESS;
}
