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

void pk_test_free(void *data)
{
	free(data);
}
