// SPDX-License-Identifier: Apache-2.0
/* Where our image came from, by device path: the handle changes when its driver is connected anew. */
#include <common/device_path.h>
#include <stub/lib/boot_device.h>
#include <stub/lib/string.h>
#include <stub/lib/stub.h>

enum { END_SIZE = sizeof(struct efi_device_path) };

static u8 device[PK_DEVICE_PATH_MAX] __attribute__((aligned(8)));
static u8 file[PK_DEVICE_PATH_MAX] __attribute__((aligned(8)));
static u64 device_size, file_size;	/* end node included; 0: none */
static bool by_load_file;

static u64 keep(const void *path, u8 *out)
{
	u64 size = path ? pk_device_path_size(path, PK_DEVICE_PATH_MAX) : 0;

	memcpy(out, path, size);
	return size;
}

void pk_boot_device_init(void)
{
	efi_handle_t handle = pk_loaded_image->device_handle;
	void *path = NULL, *load_file;

	if (handle) {
		pk_bs->handle_protocol(handle, &efi_guid_device_path, &path);
		by_load_file = !EFI_ERROR(pk_bs->handle_protocol(handle, &efi_guid_load_file, &load_file));
	}
	device_size = keep(path, device);
	file_size = keep(pk_loaded_image->file_path, file);
}

efi_handle_t pk_boot_device(void)
{
	struct efi_device_path *rest = (void *)device;
	efi_handle_t handle;

	if (!device_size || EFI_ERROR(pk_bs->locate_device_path(&efi_guid_device_path, &rest, &handle)))
		return NULL;
	/* The firmware returns the longest match: only a whole one is the device. */
	return rest->type == EFI_DP_END ? handle : NULL;
}

bool pk_boot_device_loads(const void *path)
{
	return by_load_file && device_size && !memcmp(path, device, device_size);
}

efi_status_t pk_boot_path(struct pk_call *call)
{
	u64 head = file_size && device_size ? device_size - END_SIZE : device_size;

	if (!head && !file_size)
		return EFI_NOT_FOUND;
	if (head + file_size > call->capacity)
		return EFI_BUFFER_TOO_SMALL;
	memcpy(call->answer, device, head);
	memcpy((u8 *)call->answer + head, file, file_size);
	call->answered = head + file_size;
	return EFI_SUCCESS;
}
