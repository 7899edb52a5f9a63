// SPDX-License-Identifier: Apache-2.0
/* The load options: text, or text in the blob that Windows puts into its boot entry. */
#include <payload/bootmgr/bootmgr.h>

enum { TEXT_MAX = 1024 };

/* What a "WINDOWS" boot entry has: bcdedit's own, read in boot variables of Windows machines. */
struct windows_options {
	char signature[8];
	u32 version;
	u32 length;
	u32 os_load_path_offset;
	u16 text[];
};

static u16 text[TEXT_MAX];

efi_status_t wbm_options_init(void)
{
	const struct windows_options *blob = wbm.image->load_options;
	u64 size = wbm.image->load_options_size, skip = 0, end = size;

	wbm.options = text;
	wbm_need(size % sizeof(u16) == 0);
	if (size >= sizeof(*blob) && !memcmp(blob->signature, "WINDOWS", sizeof(blob->signature))) {
		wbm_need(blob->version == 1);
		wbm_need(blob->length == size);
		skip = sizeof(*blob);
		end = blob->os_load_path_offset;
		wbm_need(end >= skip && end <= size && end % sizeof(u16) == 0);
	}
	wbm_need(end - skip < sizeof(text));
	memcpy(text, (const u8 *)wbm.image->load_options + skip, end - skip);
	text[(end - skip) / sizeof(u16)] = 0;
	return EFI_SUCCESS;
}

static const u16 *find(const char *name)
{
	bool at_word = true;

	for (const u16 *at = wbm.options; *at; at++) {
		u32 n = 0;

		while (name[n] && at[n] == (u8)name[n])
			n++;
		if (at_word && !name[n] && at[n] == '=')
			return at + n + 1;
		at_word = *at == ' ';
	}
	return NULL;
}

static bool digit(u16 c, u64 *ret)
{
	if (c >= '0' && c <= '9')
		*ret = (u64)(c - '0');
	else if (c >= 'a' && c <= 'f')
		*ret = (u64)(c - 'a' + 10);
	else
		return false;
	return true;
}

bool wbm_option_number(const char *name, u64 *ret)
{
	const u16 *value = find(name);
	u64 number = 0, next;

	if (!value)
		return false;
	for (; digit(*value, &next); value++)
		number = number << 4 | next;
	*ret = number;
	return true;
}

bool wbm_option_is(const char *name, const char *expected)
{
	const u16 *value = find(name);

	if (!value)
		return false;
	for (; *expected; expected++, value++)
		if (*value != (u8)*expected)
			return false;
	return !*value || *value == ' ';
}

bool wbm_option_digest(const char *name, u8 *ret)
{
	const u16 *value = find(name);
	u64 high, low;

	if (!value)
		return false;
	for (u32 i = 0; i < WBM_SHA256_SIZE; i++) {
		if (!digit(value[2 * i], &high) || !digit(value[2 * i + 1], &low))
			return false;
		ret[i] = (u8)(high << 4 | low);
	}
	return true;
}
