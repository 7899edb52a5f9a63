// SPDX-License-Identifier: Apache-2.0
/* Partitions, by our own reading of GPT (UEFI 2.10, 5.3) and MBR; which one we came from. */
#include <common/crc32.h>
#include <payload/bootmgr/bootmgr.h>

enum {
	MBR_SIZE	= 512,
	MBR_ENTRIES	= 446,
	MBR_PROTECTIVE	= 0xee,
	GPT_ENTRIES_MAX	= 128,
	GPT_ENTRY_SIZE	= 128,
	HD_NODE_SIZE	= 42,
	EFI_DP_MEDIA_HARD_DRIVE = 1,
	HD_SIGNATURE_TYPE = 41,
	SIGNATURE_MBR	= 1,
};

struct gpt_header {
	char signature[8];
	u32 revision;
	u32 header_size;
	u32 crc32;
	u32 reserved;
	u64 my_lba;
	u64 alternate_lba;
	u64 first_usable_lba;
	u64 last_usable_lba;
	u8 disk_guid[16];
	u64 entries_lba;
	u32 nr_entries;
	u32 entry_size;
	u32 entries_crc32;
};

struct gpt_entry {
	u8 type[16];
	u8 guid[16];
	u64 first_lba;
	u64 last_lba;
	u64 attributes;
	u16 name[36];
};
_Static_assert(sizeof(struct gpt_entry) == GPT_ENTRY_SIZE, "UEFI 2.10, 5.3.3");

static const u8 zero[16];

static efi_status_t add(const struct wbm_disk *disk, u64 lba, u64 nr_blocks, const u8 *guid)
{
	struct wbm_volume *volume = &wbm.volumes[wbm.nr_volumes];

	wbm_need(wbm.nr_volumes < WBM_VOLUMES_MAX);
	*volume = (struct wbm_volume){ disk, lba * disk->block_size, nr_blocks * disk->block_size, { 0 } };
	memcpy(volume->guid, guid, sizeof(volume->guid));
	wbm.nr_volumes++;
	return EFI_SUCCESS;
}

static efi_status_t read_gpt(const struct wbm_disk *disk, u8 *buffer)
{
	struct gpt_header header;
	const struct gpt_entry *entries = (const void *)buffer;
	u32 said;

	wbm_try(wbm_read_blocks(disk, 1, disk->block_size, buffer));
	memcpy(&header, buffer, sizeof(header));
	wbm_need(!memcmp(header.signature, "EFI PART", 8) && header.my_lba == 1);
	wbm_need(header.header_size >= sizeof(header) - 4 && header.header_size <= disk->block_size);
	said = header.crc32;
	memset(buffer + offsetof(struct gpt_header, crc32), 0, sizeof(said));
	wbm_need(pk_crc32(0, buffer, header.header_size) == said);
	wbm_need(header.entry_size == GPT_ENTRY_SIZE && header.nr_entries <= GPT_ENTRIES_MAX);
	wbm_try(wbm_read_blocks(disk, header.entries_lba, GPT_ENTRIES_MAX * GPT_ENTRY_SIZE, buffer));
	wbm_need(pk_crc32(0, buffer, header.nr_entries * GPT_ENTRY_SIZE) == header.entries_crc32);
	for (u32 i = 0; i < header.nr_entries; i++)
		if (memcmp(entries[i].type, zero, sizeof(zero)))
			wbm_try(add(disk, entries[i].first_lba, entries[i].last_lba - entries[i].first_lba + 1,
				    entries[i].guid));
	return EFI_SUCCESS;
}

static efi_status_t read_disk(const struct wbm_disk *disk, u8 *buffer)
{
	u32 nr_before = wbm.nr_volumes;

	wbm_try(wbm_read_blocks(disk, 0, disk->block_size, buffer));
	if (buffer[MBR_ENTRIES + 4] == MBR_PROTECTIVE)
		return read_gpt(disk, buffer);
	for (u32 i = 0; i < 4 && buffer[MBR_SIZE - 2] == 0x55 && buffer[MBR_SIZE - 1] == 0xaa; i++) {
		const u8 *entry = buffer + MBR_ENTRIES + 16 * i;
		u32 start = wbm_get32(entry + 8), size = wbm_get32(entry + 12);

		/* A boot sector of a file system has code there. */
		if (entry[0] & 0x7f || !entry[4] || !start || !size || (u64)start + size > disk->last_block + 1)
			break;
		wbm_try(add(disk, start, size, zero));
	}
	return wbm.nr_volumes > nr_before ? EFI_SUCCESS : add(disk, 0, disk->last_block + 1, zero);
}

const struct wbm_volume *wbm_volume_by_guid(const u8 *guid)
{
	for (u32 i = 0; i < wbm.nr_volumes; i++)
		if (!memcmp(wbm.volumes[i].guid, guid, sizeof(wbm.volumes[i].guid)))
			return &wbm.volumes[i];
	return NULL;
}

/* Of an MBR the path names the disk, and the node where on it. */
static const struct wbm_volume *volume_of_mbr(const u8 *path, const u8 *node)
{
	for (u32 i = 0; i < wbm.nr_volumes; i++) {
		const struct wbm_disk *disk = wbm.volumes[i].disk;
		u64 size = disk->path_size - sizeof(struct efi_device_path);

		if (size == (u64)(node - path) && !memcmp(disk->path, path, size) &&
		    wbm.volumes[i].start == wbm_get64(node + 8) * disk->block_size)
			return &wbm.volumes[i];
	}
	return NULL;
}

/* The hard drive node of what we came from names a partition that we have found, too (10.3.5.1). */
static efi_status_t find_boot_volume(void)
{
	const u8 *path = NULL, *node;

	for (u32 i = 0; i < wbm.nr_disks; i++)
		if (wbm.disks[i].handle == wbm.image->device_handle)
			path = (const u8 *)wbm.disks[i].path;
	wbm_need(path);
	for (node = path; node[0] != EFI_DP_END; node += wbm_get16(node + 2))
		if (node[0] == EFI_DP_MEDIA && node[1] == EFI_DP_MEDIA_HARD_DRIVE && node[2] == HD_NODE_SIZE)
			break;
	wbm_need(node[0] == EFI_DP_MEDIA);
	wbm.boot_volume = node[HD_SIGNATURE_TYPE] == SIGNATURE_MBR ? volume_of_mbr(path, node) :
								     wbm_volume_by_guid(node + 24);
	wbm_need(wbm.boot_volume);
	wbm_need(wbm.boot_volume->start == wbm_get64(node + 8) * wbm.boot_volume->disk->block_size);
	wbm_need(wbm.boot_volume->size == wbm_get64(node + 16) * wbm.boot_volume->disk->block_size);
	return EFI_SUCCESS;
}

efi_status_t wbm_find_volumes(void)
{
	u8 *buffer = wbm_allocate(GPT_ENTRIES_MAX * GPT_ENTRY_SIZE);

	wbm_need(buffer);
	for (u32 i = 0; i < wbm.nr_disks; i++)
		if (!wbm.disks[i].logical)
			wbm_try(read_disk(&wbm.disks[i], buffer));
	for (u32 i = 0; i < wbm.nr_volumes; i++)
		if (!wbm.volumes[i].disk->in_memory)
			wbm_fact("volume", wbm.volumes[i].start, wbm.volumes[i].size);
	return find_boot_volume();
}
