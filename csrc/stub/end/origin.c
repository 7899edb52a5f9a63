// SPDX-License-Identifier: Apache-2.0
/* Where a payload may say that it comes from. */
#include <stub/end/origin.h>
#include <stub/lib/stub.h>
#include <stub/lib/test.h>

/* Is there a handle with protocol whose path this path begins with? */
static bool comes_from(const efi_guid_t *protocol, const void *path)
{
	struct efi_device_path *rest = (void *)path;
	efi_handle_t handle;

	return !EFI_ERROR(pk_bs->locate_device_path(protocol, &rest, &handle));
}

/*
 * LoadImage verifies a payload according to where its path says it comes from,
 * and trusts what comes out of the firmware's own volumes unseen (EDK II, say).
 * The bytes are root's, and so is the path: it may name a file system or a
 * network, nothing else.
 */
static efi_status_t check(const void *path)
{
	if (comes_from(&efi_guid_firmware_volume2, path) || comes_from(&efi_guid_firmware_volume, path))
		return EFI_ACCESS_DENIED;
	if (comes_from(&efi_guid_simple_file_system, path) || comes_from(&efi_guid_load_file, path))
		return EFI_SUCCESS;
	return EFI_ACCESS_DENIED;
}

efi_status_t pk_origin_check(const void *path)
{
	return pk_test_origin(check(path));
}
