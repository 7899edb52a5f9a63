// SPDX-License-Identifier: Apache-2.0
/* FAT12, FAT16 and FAT32 over Block I/O, as a boot manager that does not trust the firmware's reads them. */
#include <payload/bootmgr/bootmgr.h>

enum {
	SECTOR_MAX	= 4096,
	ENTRY_SIZE	= 32,
	LONG_NAME	= 0x0f,
	VOLUME_LABEL	= 0x08,
	DIRECTORY	= 0x10,
	LONG_LAST	= 0x40,
	LONG_PIECE	= 13,
	NAME_MAX	= 260,
	FAT12_MAX	= 4084,
	FAT16_MAX	= 65524,
	DIRECTORY_MAX	= 1024 * 1024,
};

bool wbm_fat_mount(const struct wbm_volume *volume, struct wbm_fat *ret)
{
	struct wbm_fat fat = { .volume = volume };
	u8 b[512];
	u32 reserved, nr_fats, fat_sectors, nr_sectors, data_sectors, cluster_sectors;

	if (EFI_ERROR(wbm_read(volume, 0, sizeof(b), b)) || b[510] != 0x55 || b[511] != 0xaa)
		return false;
	fat.sector_size = wbm_get16(b + 11);
	cluster_sectors = b[13];
	reserved = wbm_get16(b + 14);
	nr_fats = b[16];
	fat.root_size = wbm_get16(b + 17) * ENTRY_SIZE;
	nr_sectors = wbm_get16(b + 19) ? wbm_get16(b + 19) : wbm_get32(b + 32);
	fat_sectors = wbm_get16(b + 22) ? wbm_get16(b + 22) : wbm_get32(b + 36);
	if (fat.sector_size < 512 || fat.sector_size > SECTOR_MAX || (fat.sector_size & (fat.sector_size - 1)) ||
	    !cluster_sectors || (cluster_sectors & (cluster_sectors - 1)) || !reserved || !nr_fats || !fat_sectors ||
	    (u64)nr_sectors * fat.sector_size > volume->size)
		return false;
	fat.cluster_size = cluster_sectors * fat.sector_size;
	fat.fat = (u64)reserved * fat.sector_size;
	fat.root = fat.fat + (u64)nr_fats * fat_sectors * fat.sector_size;
	fat.data = fat.root + (fat.root_size + fat.sector_size - 1) / fat.sector_size * fat.sector_size;
	if (fat.data / fat.sector_size >= nr_sectors)
		return false;
	data_sectors = nr_sectors - (u32)(fat.data / fat.sector_size);
	fat.nr_clusters = data_sectors / cluster_sectors;
	fat.bits = fat.nr_clusters <= FAT12_MAX ? 12 : fat.nr_clusters <= FAT16_MAX ? 16 : 32;
	if (fat.bits == 32)
		fat.root_cluster = wbm_get32(b + 44);
	*ret = fat;
	return true;
}

/* The cluster after this one; 0 at the end, and where the chain is broken. */
static u32 next_cluster(const struct wbm_fat *fat, u32 cluster)
{
	static const struct wbm_volume *cached_volume;
	static u64 cached = ~0ULL;
	static u8 sectors[2 * SECTOR_MAX];
	u64 at = fat->fat + (fat->bits == 12 ? cluster + cluster / 2 : (u64)cluster * fat->bits / 8);
	u64 start = at / fat->sector_size * fat->sector_size;
	u32 value, end;

	if (cached != start || cached_volume != fat->volume) {
		cached_volume = NULL;
		if (EFI_ERROR(wbm_read(fat->volume, start, 2ULL * fat->sector_size, sectors)))
			return 0;
		cached_volume = fat->volume;
		cached = start;
	}
	value = fat->bits == 32 ? wbm_get32(sectors + (at - start)) & 0x0fffffff : wbm_get16(sectors + (at - start));
	if (fat->bits == 12)
		value = cluster & 1 ? value >> 4 : value & 0xfff;
	end = fat->nr_clusters + 2;
	return value >= 2 && value < end ? value : 0;
}

/* At most size bytes from *cluster on that lie together; *cluster is where the chain goes on. */
static efi_status_t read_run(const struct wbm_fat *fat, u32 *cluster, u64 size, u8 *buffer, u64 *ret_size)
{
	u32 first = *cluster, nr = 0;

	if (!first)
		return EFI_VOLUME_CORRUPTED;
	do {
		*cluster = next_cluster(fat, first + nr);
		nr++;
	} while (*cluster == first + nr && (u64)nr * fat->cluster_size < size);
	*ret_size = (u64)nr * fat->cluster_size < size ? (u64)nr * fat->cluster_size : size;
	return wbm_read(fat->volume, fat->data + (u64)(first - 2) * fat->cluster_size, *ret_size, buffer);
}

/* size bytes of the chain that begins at cluster. */
static efi_status_t read_chain(const struct wbm_fat *fat, u32 cluster, u64 size, u8 *buffer)
{
	while (size) {
		u64 part;
		efi_status_t status = read_run(fat, &cluster, size, buffer, &part);

		if (EFI_ERROR(status))
			return status;
		buffer += part;
		size -= part;
	}
	return EFI_SUCCESS;
}

/* A directory, whose size is that of its chain. */
static efi_status_t read_directory(const struct wbm_fat *fat, const struct wbm_file *directory, u8 **ret,
				   u64 *ret_size)
{
	bool is_fixed = !directory->cluster;
	u64 size = fat->root_size;

	if (!is_fixed) {
		size = 0;
		for (u32 cluster = directory->cluster; cluster && size < DIRECTORY_MAX;
		     cluster = next_cluster(fat, cluster))
			size += fat->cluster_size;
	}
	*ret = wbm_allocate(size);
	*ret_size = size;
	if (!*ret)
		return EFI_OUT_OF_RESOURCES;
	if (is_fixed)
		return wbm_read(fat->volume, fat->root, size, *ret);
	return read_chain(fat, directory->cluster, size, *ret);
}

static u16 upper(u16 c)
{
	return c >= 'a' && c <= 'z' ? (u16)(c - 'a' + 'A') : c;
}

/* name's first size characters, and nothing more in found. */
static bool same(const u16 *name, u32 size, const u16 *found)
{
	for (u32 i = 0; i < size; i++)
		if (upper(name[i]) != upper(found[i]))
			return false;
	return !found[size];
}

static void short_name(const u8 *entry, u16 *ret)
{
	u32 n = 0;

	for (u32 i = 0; i < 8 && entry[i] != ' '; i++)
		ret[n++] = entry[i];
	if (entry[8] != ' ')
		ret[n++] = '.';
	for (u32 i = 8; i < 11 && entry[i] != ' '; i++)
		ret[n++] = entry[i];
	ret[n] = 0;
}

static void long_piece(const u8 *entry, u16 *name)
{
	static const u8 places[LONG_PIECE] = { 1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30 };
	u32 number = entry[0] & 0x1f;

	if (!number || number * LONG_PIECE >= NAME_MAX)
		return;
	if (entry[0] & LONG_LAST)
		name[number * LONG_PIECE] = 0;
	for (u32 i = 0; i < LONG_PIECE; i++)
		name[(number - 1) * LONG_PIECE + i] = (u16)wbm_get16(entry + places[i]);
}

static bool find(const u8 *entries, u64 size, const u16 *name, u32 name_size, struct wbm_file *ret)
{
	static u16 long_name[NAME_MAX], name83[13];

	long_name[0] = 0;
	for (const u8 *entry = entries; entry + ENTRY_SIZE <= entries + size && entry[0]; entry += ENTRY_SIZE) {
		if (entry[0] == 0xe5) {
			long_name[0] = 0;
			continue;
		}
		if (entry[11] == LONG_NAME) {
			long_piece(entry, long_name);
			continue;
		}
		short_name(entry, name83);
		if (!(entry[11] & VOLUME_LABEL) &&
		    (same(name, name_size, long_name) || same(name, name_size, name83))) {
			*ret = (struct wbm_file){
				.cluster = wbm_get16(entry + 20) << 16 | wbm_get16(entry + 26),
				.size = wbm_get32(entry + 28),
				.directory = entry[11] & DIRECTORY,
			};
			return true;
		}
		long_name[0] = 0;
	}
	return false;
}

efi_status_t wbm_fat_open(const struct wbm_fat *fat, const u16 *path, struct wbm_file *ret)
{
	struct wbm_file file = { .cluster = fat->root_cluster, .directory = true };

	while (*path == '\\') {
		u32 size = 0;
		u8 *entries;
		u64 entries_size;
		efi_status_t status;

		path++;
		while (path[size] && path[size] != '\\')
			size++;
		if (!file.directory)
			return EFI_NOT_FOUND;
		status = read_directory(fat, &file, &entries, &entries_size);
		if (EFI_ERROR(status))
			return status;
		if (!find(entries, entries_size, path, size, &file))
			return EFI_NOT_FOUND;
		path += size;
	}
	*ret = file;
	return EFI_SUCCESS;
}

efi_status_t wbm_fat_load(const struct wbm_fat *fat, const u16 *path, u8 **ret_data, u64 *ret_size)
{
	struct wbm_file file;
	efi_status_t status = wbm_fat_open(fat, path, &file);
	u8 *data;

	if (EFI_ERROR(status))
		return status;
	data = wbm_allocate(file.size);
	if (file.directory || !data)
		return EFI_OUT_OF_RESOURCES;
	status = read_chain(fat, file.cluster, file.size, data);
	if (EFI_ERROR(status))
		return status;
	*ret_data = data;
	*ret_size = file.size;
	return EFI_SUCCESS;
}

efi_status_t wbm_fat_digest(const struct wbm_fat *fat, const u16 *path, u8 *buffer, u64 buffer_size, u8 *ret)
{
	u64 whole = buffer_size / fat->cluster_size * fat->cluster_size, part;
	struct wbm_sha256 sha;
	struct wbm_file file;
	efi_status_t status = wbm_fat_open(fat, path, &file);
	u32 cluster;

	if (EFI_ERROR(status))
		return status;
	cluster = file.cluster;
	if (file.directory || !whole)
		return EFI_INVALID_PARAMETER;
	wbm_sha256_init(&sha);
	for (u64 left = file.size; left; left -= part) {
		status = read_run(fat, &cluster, left < whole ? left : whole, buffer, &part);
		if (EFI_ERROR(status))
			return status;
		wbm_sha256_update(&sha, buffer, part);
	}
	wbm_sha256_final(&sha, ret);
	return EFI_SUCCESS;
}
