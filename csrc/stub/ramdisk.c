// SPDX-License-Identifier: Apache-2.0
/* RAM disks that Linux fills and the firmware serves, through EFI_RAM_DISK_PROTOCOL. */
#include "devices.h"

efi_status_t pk_ramdisk_create(const struct pk_ramdisk_request *request, void *out, u64 capacity, u64 *ret_size)
{
	(void)request, (void)out, (void)capacity, (void)ret_size;
	return EFI_UNSUPPORTED;
}

efi_status_t pk_ramdisk_data(const void *body, u64 size)
{
	(void)body, (void)size;
	return EFI_UNSUPPORTED;
}

efi_status_t pk_ramdisk_register(u32 ramdisk, void *out, u64 capacity, u64 *ret_size)
{
	(void)ramdisk, (void)out, (void)capacity, (void)ret_size;
	return EFI_UNSUPPORTED;
}

efi_status_t pk_ramdisk_remove(u32 ramdisk)
{
	(void)ramdisk;
	return EFI_UNSUPPORTED;
}

efi_status_t pk_ramdisk_list(void *out, u64 capacity, u64 *ret_size)
{
	(void)out, (void)capacity, (void)ret_size;
	return EFI_UNSUPPORTED;
}
