// SPDX-License-Identifier: Apache-2.0
/* In place of the stand-in's disks: one volume, in memory. */
#include <payload/bootmgr/bootmgr.h>
#include <stdlib.h>

static const u8 *volume_data;

efi_status_t wbm_read(const struct wbm_volume *volume, u64 offset, u64 size, void *buffer)
{
	if (offset > volume->size || size > volume->size - offset)
		return EFI_END_OF_MEDIA;
	memcpy(buffer, volume_data + offset, size);
	return EFI_SUCCESS;
}

void *wbm_allocate(u64 size)
{
	return calloc(1, size ? size : 1);
}

/* The status of loading path; the kind of FAT is in *ret_bits, 0 where there is none. */
efi_status_t pk_test_load(const u8 *data, u64 size, const u16 *path, u32 *ret_bits, u8 **ret, u64 *ret_size)
{
	struct wbm_volume volume = { .size = size };
	struct wbm_fat fat;

	volume_data = data;
	*ret_bits = 0;
	if (!wbm_fat_mount(&volume, &fat))
		return EFI_UNSUPPORTED;
	*ret_bits = fat.bits;
	return wbm_fat_load(&fat, path, ret, ret_size);
}

/* The status of digesting path by a buffer of so many bytes. */
efi_status_t pk_test_digest(const u8 *data, u64 size, const u16 *path, u64 buffer_size, u8 *ret)
{
	struct wbm_volume volume = { .size = size };
	struct wbm_fat fat;
	efi_status_t status;
	u8 *buffer;

	volume_data = data;
	if (!wbm_fat_mount(&volume, &fat))
		return EFI_UNSUPPORTED;
	buffer = malloc(buffer_size);
	status = wbm_fat_digest(&fat, path, buffer, buffer_size, ret);
	free(buffer);
	return status;
}

void pk_test_free(void *data)
{
	free(data);
}
