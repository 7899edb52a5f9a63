// SPDX-License-Identifier: Apache-2.0
/* A registry hive (regf 1.3 to 1.5), which a BCD is: base block, cells of keys, values and lists. */
#include <payload/bootmgr/bootmgr.h>

enum {
	BASE_SIZE	= 4096,
	CHECKSUM	= 508,
	ROOT_CELL	= 36,
	KEY_SIZE	= 76,
	KEY_NR_SUBKEYS	= 20,
	KEY_SUBKEYS	= 28,
	KEY_NR_VALUES	= 36,
	KEY_VALUES	= 40,
	KEY_NAME_SIZE	= 72,
	VALUE_SIZE	= 20,
	INLINE_SIZE	= 4,
};

#define IS_INLINE 0x80000000U

bool wbm_hive_open(const u8 *data, u64 size, struct wbm_hive *ret)
{
	u32 sum = 0;

	if (size < BASE_SIZE || memcmp(data, "regf", 4))
		return false;
	for (u32 at = 0; at < CHECKSUM; at += sizeof(sum))
		sum ^= wbm_get32(data + at);
	if (sum != wbm_get32(data + CHECKSUM))
		return false;
	*ret = (struct wbm_hive){ data, size };
	return true;
}

/* An allocated cell's contents, at least size bytes; NULL when there is none. */
static const u8 *cell(const struct wbm_hive *hive, u32 offset, u64 size)
{
	u64 at = BASE_SIZE + (u64)offset;
	u32 total;

	if (at + 4 > hive->size || !(wbm_get32(hive->data + at) & IS_INLINE))
		return NULL;
	total = 0 - wbm_get32(hive->data + at);
	if (total < 4 + size || total > hive->size - at)
		return NULL;
	return hive->data + at + 4;
}

static const u8 *key_cell(const struct wbm_hive *hive, u32 offset)
{
	const u8 *key = cell(hive, offset, KEY_SIZE);

	if (!key || memcmp(key, "nk", 2) || !cell(hive, offset, KEY_SIZE + wbm_get16(key + KEY_NAME_SIZE)))
		return NULL;
	return key;
}

static u8 lower(u8 c)
{
	return c >= 'A' && c <= 'Z' ? (u8)(c - 'A' + 'a') : c;
}

static bool same(const u8 *name, u32 size, const char *wanted, u32 wanted_size)
{
	if (size != wanted_size)
		return false;
	for (u32 i = 0; i < size; i++)
		if (lower(name[i]) != lower((u8)wanted[i]))
			return false;
	return true;
}

/* Lists of keys: with hashes (lf, lh) or without (li); a BCD is never so large that it has lists of lists. */
static u32 subkey(const struct wbm_hive *hive, u32 parent, const char *name, u32 name_size)
{
	const u8 *key = key_cell(hive, parent), *list;
	u32 step, nr;

	if (!key || !wbm_get32(key + KEY_NR_SUBKEYS))
		return 0;
	list = cell(hive, wbm_get32(key + KEY_SUBKEYS), 4);
	if (!list)
		return 0;
	step = !memcmp(list, "li", 2) ? 4 : 8;
	nr = wbm_get16(list + 2);
	if ((step == 8 && memcmp(list, "lf", 2) && memcmp(list, "lh", 2)) ||
	    !cell(hive, wbm_get32(key + KEY_SUBKEYS), 4 + (u64)step * nr))
		return 0;
	for (u32 i = 0; i < nr; i++) {
		u32 offset = wbm_get32(list + 4 + step * i);
		const u8 *found = key_cell(hive, offset);

		if (found && same(found + KEY_SIZE, wbm_get16(found + KEY_NAME_SIZE), name, name_size))
			return offset;
	}
	return 0;
}

u32 wbm_hive_key(const struct wbm_hive *hive, const char *path)
{
	u32 key = wbm_get32(hive->data + ROOT_CELL);

	while (key && *path) {
		u32 size = 0;

		while (path[size] && path[size] != '\\')
			size++;
		key = subkey(hive, key, path, size);
		path += size;
		path += *path == '\\';
	}
	return key;
}

bool wbm_hive_value(const struct wbm_hive *hive, u32 offset, const char *name, u32 *ret_type, const u8 **ret_data,
		    u32 *ret_size)
{
	const u8 *key = key_cell(hive, offset), *list;
	u32 nr, name_size = 0;

	while (name[name_size])
		name_size++;
	nr = key ? wbm_get32(key + KEY_NR_VALUES) : 0;
	list = nr ? cell(hive, wbm_get32(key + KEY_VALUES), 4ULL * nr) : NULL;
	for (u32 i = 0; list && i < nr; i++) {
		u32 at = wbm_get32(list + 4 * i), size;
		const u8 *value = cell(hive, at, VALUE_SIZE), *data;

		if (!value || memcmp(value, "vk", 2) || !cell(hive, at, VALUE_SIZE + wbm_get16(value + 2)) ||
		    !same(value + VALUE_SIZE, wbm_get16(value + 2), name, name_size))
			continue;
		size = wbm_get32(value + 4);
		data = size & IS_INLINE ? value + 8 : cell(hive, wbm_get32(value + 8), size);
		size &= ~IS_INLINE;
		if (!data || (data == value + 8 && size > INLINE_SIZE))
			return false;
		*ret_type = wbm_get32(value + 12);
		*ret_data = data;
		*ret_size = size;
		return true;
	}
	return false;
}
