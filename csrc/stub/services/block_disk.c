// SPDX-License-Identifier: Apache-2.0
/* A handle with Block I/O and a device path, for memory that holds a disk. */
#include <stub/lib/string.h>
#include <stub/lib/stub.h>
#include <stub/services/block_disk.h>

static struct pk_block_disk_path path_of(u32 number)
{
	struct pk_block_disk_path path = {
		.vendor = { EFI_DP_HARDWARE, EFI_DP_HARDWARE_VENDOR, { sizeof(path.vendor) + sizeof(path.guid), 0 } },
		.atapi = { EFI_DP_MESSAGING, EFI_DP_MESSAGING_ATAPI, { sizeof(path.atapi) + 4, 0 } },
		.end = { EFI_DP_END, EFI_DP_END_ENTIRE, { sizeof(path.end), 0 } },
	};

	memcpy(path.guid, &efi_guid_pykexec_disk, sizeof(path.guid));
	for (u32 i = 0; i < sizeof(number); i++)
		path.guid[15 - i] = (u8)(number >> 8 * i);
	return path;
}

efi_status_t pk_block_disk_install(struct pk_block_disk *disk, u64 start, u64 size, u32 number, bool removable)
{
	efi_status_t status;

	*disk = (struct pk_block_disk){ .path = path_of(number) };
	if (!pk_memory_block_init(&disk->block, start, size, PK_BLOCK_DISK_BLOCK_SIZE, true))
		return EFI_INVALID_PARAMETER;
	disk->block.media.removable_media = removable;
	status = pk_bs->install_protocol_interface(&disk->handle, &efi_guid_device_path, EFI_NATIVE_INTERFACE,
						   &disk->path);
	if (EFI_ERROR(status))
		return status;
	status = pk_bs->install_protocol_interface(&disk->handle, &efi_guid_block_io, EFI_NATIVE_INTERFACE,
						   &disk->block.io);
	if (EFI_ERROR(status)) {
		pk_bs->uninstall_protocol_interface(disk->handle, &efi_guid_device_path, &disk->path);
		disk->handle = NULL;
		return status;
	}
	/* No driver may want it: that is no failure. */
	pk_bs->connect_controller(disk->handle, NULL, NULL, true);
	return EFI_SUCCESS;
}

efi_status_t pk_block_disk_uninstall(struct pk_block_disk *disk)
{
	efi_status_t status;

	/* The firmware stops the drivers on it, and refuses when one will not. */
	status = pk_bs->uninstall_protocol_interface(disk->handle, &efi_guid_block_io, &disk->block.io);
	if (EFI_ERROR(status))
		return status;
	status = pk_bs->uninstall_protocol_interface(disk->handle, &efi_guid_device_path, &disk->path);
	if (EFI_ERROR(status)) {
		pk_bs->install_protocol_interface(&disk->handle, &efi_guid_block_io, EFI_NATIVE_INTERFACE,
						  &disk->block.io);
		return status;
	}
	disk->handle = NULL;
	return EFI_SUCCESS;
}
