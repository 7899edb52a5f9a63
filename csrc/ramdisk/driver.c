// SPDX-License-Identifier: Apache-2.0
/* The driver: EFI_RAM_DISK_PROTOCOL on a handle of its own, a handle with Block I/O for each disk. */
#include "ramdisk.h"

enum {
	DISK_BLOCK_SIZE	= 512,
	CD_BLOCK_SIZE	= 2048,
};

struct efi_system_table *st;
struct efi_boot_services *bs;
struct disk *disks;

static const struct efi_device_path end_node = {
	EFI_DP_END, EFI_DP_END_ENTIRE, { sizeof(struct efi_device_path), 0 },
};

static u16 node_length(const struct efi_device_path *node)
{
	return node->length[0] | node->length[1] << 8;
}

static const struct efi_device_path *next_node(const struct efi_device_path *node)
{
	return (const void *)((const u8 *)node + node_length(node));
}

/* Bytes of the path without its end node. */
static u64 nodes_size(const struct efi_device_path *path)
{
	const struct efi_device_path *node = path;

	while (node && node->type != EFI_DP_END)
		node = next_node(node);
	return (u64)node - (u64)path;
}

static struct ramdisk_node node_for(const struct disk *disk)
{
	u64 end = disk->start + disk->size - 1;
	struct ramdisk_node node = {
		.header = { EFI_DP_MEDIA, EFI_DP_MEDIA_RAM_DISK, { sizeof(node), 0 } },
		.type = disk->type,
	};

	memcpy(node.start, &disk->start, sizeof(node.start));
	memcpy(node.end, &end, sizeof(node.end));
	return node;
}

/* The registered disk that the path's RAM disk node means. */
static efi_status_t find(const struct efi_device_path *path, struct disk ***ret)
{
	const struct efi_device_path *node = path;

	while (node->type != EFI_DP_END &&
	       !(node->type == EFI_DP_MEDIA && node->subtype == EFI_DP_MEDIA_RAM_DISK &&
		 node_length(node) == sizeof(struct ramdisk_node)))
		node = next_node(node);
	if (node->type == EFI_DP_END)
		return EFI_UNSUPPORTED;
	for (struct disk **link = &disks; *link; link = &(*link)->next) {
		struct ramdisk_node own = node_for(*link);

		if (memcmp(&own, node, sizeof(own)))
			continue;
		*ret = link;
		return EFI_SUCCESS;
	}
	return EFI_NOT_FOUND;
}

/* Whatever goes wrong leaves nothing behind. */
static efi_status_t install(struct disk *disk)
{
	efi_status_t status;

	/* The firmware itself refuses a path that is there already (7.3.2 knows no such rule: EDK II does). */
	status = bs->install_protocol_interface(&disk->handle, &efi_guid_device_path, EFI_NATIVE_INTERFACE, disk->path);
	if (EFI_ERROR(status))
		return status;
	status = bs->install_protocol_interface(&disk->handle, &efi_guid_block_io, EFI_NATIVE_INTERFACE,
						&disk->block.io);
	if (EFI_ERROR(status))
		goto err_path;
	status = nfit_publish(disk);
	if (EFI_ERROR(status))
		goto err_block;
	return EFI_SUCCESS;

err_block:
	bs->uninstall_protocol_interface(disk->handle, &efi_guid_block_io, &disk->block.io);
err_path:
	bs->uninstall_protocol_interface(disk->handle, &efi_guid_device_path, disk->path);
	return status;
}

/* Block I/O on the disk's memory; false for a size that is no whole number of blocks. */
static bool block_init(struct disk *disk)
{
	bool cd = !memcmp(&disk->type, &efi_guid_virtual_cd, sizeof(disk->type)) ||
		  !memcmp(&disk->type, &efi_guid_persistent_virtual_cd, sizeof(disk->type));

	return pk_memory_block_init(&disk->block, disk->start, disk->size, cd ? CD_BLOCK_SIZE : DISK_BLOCK_SIZE, cd);
}

static efi_status_t EFIAPI register_disk(u64 start, u64 size, const efi_guid_t *type, struct efi_device_path *parent,
					 struct efi_device_path **ret)
{
	u64 parent_size = parent ? nodes_size(parent) : 0;
	struct ramdisk_node node;
	struct disk *disk, **other;
	efi_status_t status;

	if (!size || !type || !ret || start + size < start)
		return EFI_INVALID_PARAMETER;
	status = bs->allocate_pool(EFI_BOOT_SERVICES_DATA,
				   sizeof(*disk) + parent_size + sizeof(node) + sizeof(end_node), (void **)&disk);
	if (EFI_ERROR(status))
		return status;
	*disk = (struct disk){ .start = start, .size = size, .type = *type };
	node = node_for(disk);
	memcpy(disk->path, parent, parent_size);
	memcpy(disk->path + parent_size, &node, sizeof(node));
	memcpy(disk->path + parent_size + sizeof(node), &end_node, sizeof(end_node));
	status = EFI_INVALID_PARAMETER;
	if (!block_init(disk))
		goto err_free;
	status = EFI_ALREADY_STARTED;
	if (!EFI_ERROR(find((void *)disk->path, &other)))
		goto err_free;
	status = install(disk);
	if (EFI_ERROR(status))
		goto err_free;

	disk->next = disks;
	disks = disk;
	/* No driver may want it: that is no failure. */
	bs->connect_controller(disk->handle, NULL, NULL, true);
	*ret = (void *)disk->path;
	return EFI_SUCCESS;

err_free:
	bs->free_pool(disk);
	return status;
}

static efi_status_t EFIAPI unregister(struct efi_device_path *path)
{
	struct disk **link, *disk;
	efi_status_t status;

	if (!path)
		return EFI_INVALID_PARAMETER;
	status = find(path, &link);
	if (EFI_ERROR(status))
		return status;
	disk = *link;
	/* The firmware stops the drivers on it, and refuses when one will not. */
	status = bs->uninstall_protocol_interface(disk->handle, &efi_guid_block_io, &disk->block.io);
	if (EFI_ERROR(status))
		return status;
	status = bs->uninstall_protocol_interface(disk->handle, &efi_guid_device_path, disk->path);
	if (EFI_ERROR(status)) {
		bs->install_protocol_interface(&disk->handle, &efi_guid_block_io, EFI_NATIVE_INTERFACE,
					       &disk->block.io);
		return status;
	}
	*link = disk->next;
	nfit_withdraw(disk);
	bs->free_pool(disk);
	return EFI_SUCCESS;
}

static struct efi_ram_disk protocol = {
	.register_disk = register_disk,
	.unregister = unregister,
};

EFIAPI efi_status_t efi_main(efi_handle_t image, struct efi_system_table *system_table)
{
	efi_handle_t handle = NULL;
	void *present;

	(void)image;
	st = system_table;
	bs = st->boot;
	if (!EFI_ERROR(bs->locate_protocol(&efi_guid_ram_disk, NULL, &present)))
		return EFI_ALREADY_STARTED;
	return bs->install_protocol_interface(&handle, &efi_guid_ram_disk, EFI_NATIVE_INTERFACE, &protocol);
}
