// SPDX-License-Identifier: Apache-2.0
/* Where a payload may say that it comes from. */
#include <common/device_path.h>
#include <stub/end/origin.h>
#include <stub/lib/boot_device.h>
#include <stub/lib/stub.h>
#include <stub/lib/test.h>

/* What follows the longest path of a handle with protocol that this path begins with; NULL: it begins with none. */
static const void *rest_behind(const efi_guid_t *protocol, const void *path)
{
	struct efi_device_path *rest = (void *)path;
	efi_handle_t handle;

	return EFI_ERROR(pk_bs->locate_device_path(protocol, &rest, &handle)) ? NULL : rest;
}

/*
 * LoadImage verifies a payload according to where its path says it comes from,
 * and trusts what comes out of the firmware's own volumes unseen (EDK II, say),
 * or what calls itself an option ROM, on some platforms. The bytes are root's,
 * and so is the path: it may name a file of a file system or an address in a
 * network, nothing else.
 */
static efi_status_t check(const void *path)
{
	const void *rest;

	if (rest_behind(&efi_guid_firmware_volume2, path) || rest_behind(&efi_guid_firmware_volume, path))
		return EFI_ACCESS_DENIED;
	rest = rest_behind(&efi_guid_simple_file_system, path);
	if (rest && pk_device_path_is_file(rest, PK_DEVICE_PATH_MAX))
		return EFI_SUCCESS;
	/* While Linux has the NIC there is no such handle. */
	if (pk_boot_device_loads(path))
		return EFI_SUCCESS;
	rest = rest_behind(&efi_guid_load_file, path);
	if (rest && pk_device_path_is_address(rest, PK_DEVICE_PATH_MAX))
		return EFI_SUCCESS;
	return EFI_ACCESS_DENIED;
}

efi_status_t pk_origin_check(const void *path)
{
	return pk_test_origin(check(path));
}
