// SPDX-License-Identifier: Apache-2.0
/* Where in memory a key disk lies, so that it can be looked at when nobody serves it any more. */
#include <payload/bootmgr/bootmgr.h>

enum { PIECE = 64 * 1024 };

static u8 *piece;

/* Is the disk, from its first block to its last, what lies at start? */
static bool is_at(const struct wbm_disk *disk, u64 start)
{
	u64 nr_blocks = PIECE / disk->block_size;

	for (u64 lba = 0; lba <= disk->last_block; lba += nr_blocks) {
		u64 left = disk->last_block - lba + 1, size = (left < nr_blocks ? left : nr_blocks) * disk->block_size;

		if (EFI_ERROR(wbm_read_blocks(disk, lba, size, piece)) ||
		    memcmp(piece, (const void *)(start + lba * disk->block_size), size))
			return false;
	}
	return true;
}

/* A disk whose path does not say it is looked for page by page in what boot services hold. */
static u64 find(const struct wbm_disk *disk, u64 size)
{
	u8 first[WBM_PAGE];

	if (disk->block_size > sizeof(first) || EFI_ERROR(wbm_read_blocks(disk, 0, disk->block_size, piece)))
		return 0;
	memcpy(first, piece, disk->block_size);
	for (u64 at = 0; at < wbm.map.size; at += wbm.map.step) {
		const struct efi_memory_descriptor *each = (const void *)(wbm.map.data + at);
		u64 end = each->physical_start + each->number_of_pages * WBM_PAGE;

		if (each->type != EFI_BOOT_SERVICES_DATA)
			continue;
		for (u64 start = each->physical_start; start < end && size <= end - start; start += WBM_PAGE)
			if (!memcmp(first, (const void *)start, disk->block_size) && is_at(disk, start))
				return start;
	}
	return 0;
}

efi_status_t wbm_remember_place(const struct wbm_disk *disk)
{
	struct wbm_place *place = &wbm.key_places[wbm.nr_key_places];
	const u8 *path = (const u8 *)disk->path;
	u64 start, size;

	if (!piece)
		piece = wbm_allocate(PIECE);
	wbm_need(piece && wbm.nr_key_places < WBM_KEY_DISKS_MAX);
	if (path[0] == EFI_DP_MEDIA && path[1] == EFI_DP_MEDIA_RAM_DISK) {
		/* 10.3.5.9 */
		start = wbm_get64(path + 4);
		size = wbm_get64(path + 12) + 1 - start;
	} else {
		wbm_try(wbm_read_map(&wbm.map));
		size = (disk->last_block + 1) * disk->block_size;
		start = find(disk, size);
	}
	memset(piece, 0, PIECE);
	if (!start)
		return EFI_SUCCESS;
	*place = (struct wbm_place){ start, size, disk->is_media };
	wbm.nr_key_places++;
	return EFI_SUCCESS;
}

static bool is_zero(const struct wbm_place *place)
{
	const u8 *bytes = (const u8 *)place->start;

	for (u64 i = 0; i < place->size; i++)
		if (bytes[i])
			return false;
	return true;
}

bool wbm_key_places_are_zero(void)
{
	bool zero = true;

	for (u32 i = 0; i < wbm.nr_key_places; i++)
		if (!is_zero(&wbm.key_places[i])) {
			wbm_fact("kept", wbm.key_places[i].is_media);
			zero = false;
		}
	return zero;
}
