// SPDX-License-Identifier: Apache-2.0
/*
 * Steps 8 and 9: the protector of a BitLocker volume, the .BEK file that it names on any FAT volume,
 * and the volume master key that this opens; or the screen that asks for the key. Layouts: what
 * cryptsetup and libbde read.
 */
#include <payload/bootmgr/bootmgr.h>

enum {
	FVE_GUID		= 160,		/* in the boot sector; behind it three offsets */
	FVE_GUID_TO_GO		= 424,
	FVE_BLOCK_SIZE		= 65536,
	FVE_HEADERS_SIZE	= 64 + 48,
	FVE_SIZE		= 64,		/* of the metadata, its header included */
	ENTRY_SIZE		= 8,
	TYPE_VMK		= 2,
	VALUE_KEY		= 1,
	VALUE_CCM		= 5,
	VALUE_VMK		= 8,
	VALUE_EXTERNAL_KEY	= 9,
	VMK_PROTECTION		= ENTRY_SIZE + 26,
	VMK_ENTRIES		= ENTRY_SIZE + 28,
	PROTECTION_EXTERNAL	= 0x0200,
	CCM_NONCE		= ENTRY_SIZE,
	CCM_TAG			= CCM_NONCE + 12,
	CCM_DATA		= CCM_TAG + 16,
	VMK_MAX			= 64,
	VMK_HEAD		= 12,
	KEY_SIZE		= 32,
	BEK_HEADER_SIZE		= 48,
	BEK_ENTRIES		= BEK_HEADER_SIZE + ENTRY_SIZE + 24,
	BEK_MAX			= 1024,
	GUID_SIZE		= 16,
	NAME_SIZE		= 42,		/* "\GUID.BEK" and a terminator */
	POLLS			= 20,
	POLL_US			= 100000,
};

static const u8 fve_guid[2][GUID_SIZE] = {
	/* 4967d63b-2e29-4ad8-8399-f6a339e3d001 */
	{ 0x3b, 0xd6, 0x67, 0x49, 0x29, 0x2e, 0xd8, 0x4a, 0x83, 0x99, 0xf6, 0xa3, 0x39, 0xe3, 0xd0, 0x01 },
	/* 92a84d3b-dd80-4d0e-9e4e-b1e3284eaed8: free space has stayed as it was */
	{ 0x3b, 0x4d, 0xa8, 0x92, 0x80, 0xdd, 0x0e, 0x4d, 0x9e, 0x4e, 0xb1, 0xe3, 0x28, 0x4e, 0xae, 0xd8 },
};

static bool is_fve(const u8 *guid)
{
	return !memcmp(guid, fve_guid[0], GUID_SIZE) || !memcmp(guid, fve_guid[1], GUID_SIZE);
}

static efi_status_t read_metadata(u8 **ret)
{
	u8 *data = wbm_allocate(FVE_BLOCK_SIZE);
	u32 at;

	wbm_need(data);
	wbm_try(wbm_read(wbm.os_volume, 0, 512, data));
	wbm_need(!memcmp(data + 3, "-FVE-FS-", 8) || !memcmp(data + 3, "MSWIN4.1", 8));
	at = is_fve(data + FVE_GUID) ? FVE_GUID : FVE_GUID_TO_GO;
	wbm_need(is_fve(data + at));
	wbm_try(wbm_read(wbm.os_volume, wbm_get64(data + at + GUID_SIZE), FVE_BLOCK_SIZE, data));
	wbm_need(!memcmp(data, "-FVE-FS-", 8));
	wbm_need(wbm_get32(data + FVE_SIZE) >= 48 && wbm_get32(data + FVE_SIZE) <= FVE_BLOCK_SIZE - FVE_SIZE);
	*ret = data;
	return EFI_SUCCESS;
}

/* The next entry at *at with this value in data[.., end); NULL at the end, or of what is no entry. */
static const u8 *next_entry(const u8 *data, u32 *at, u32 end, u32 value)
{
	while (*at + ENTRY_SIZE <= end) {
		const u8 *entry = data + *at;
		u32 size = wbm_get16(entry);

		if (size < ENTRY_SIZE || size > end - *at)
			return NULL;
		*at += size;
		if (wbm_get16(entry + 4) == value)
			return entry;
	}
	return NULL;
}

/* The protector that wants a .BEK file; what others there are is told. */
static const u8 *find_protector(const u8 *metadata)
{
	u32 at = FVE_HEADERS_SIZE, end = FVE_SIZE + wbm_get32(metadata + FVE_SIZE);
	const u8 *entry, *found = NULL;

	while ((entry = next_entry(metadata, &at, end, VALUE_VMK))) {
		if (wbm_get16(entry + 2) != TYPE_VMK || wbm_get16(entry) < VMK_ENTRIES)
			continue;
		wbm_fact("protector", wbm_get16(entry + VMK_PROTECTION));
		if (wbm_get16(entry + VMK_PROTECTION) == PROTECTION_EXTERNAL && !found)
			found = entry;
	}
	return found;
}

static void bek_path(const u8 *guid, u16 *ret)
{
	static const u8 order[GUID_SIZE] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };
	u32 n = 0;

	ret[n++] = '\\';
	for (u32 i = 0; i < GUID_SIZE; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			ret[n++] = '-';
		ret[n++] = (u16)"0123456789ABCDEF"[guid[order[i]] >> 4];
		ret[n++] = (u16)"0123456789ABCDEF"[guid[order[i]] & 15];
	}
	memcpy(ret + n, u".BEK", sizeof(u".BEK"));
}

static efi_status_t read_bek(const u8 *data, u64 size, const u8 *guid, u8 *ret_key)
{
	u8 digest[WBM_SHA256_SIZE], wanted[WBM_SHA256_SIZE];
	u32 at = BEK_ENTRIES;
	const u8 *key;

	wbm_sha256(data, size, digest);
	wbm_need(!wbm_option_digest("bek_sha256", wanted) || !memcmp(digest, wanted, sizeof(wanted)));
	wbm_need(size > BEK_ENTRIES && size <= BEK_MAX);
	wbm_need(wbm_get32(data) == size && wbm_get32(data + 4) == 1 && wbm_get32(data + 8) == BEK_HEADER_SIZE &&
		 wbm_get32(data + 12) == size);
	wbm_need(!memcmp(data + 16, guid, GUID_SIZE));
	wbm_need(wbm_get16(data + BEK_HEADER_SIZE + 4) == VALUE_EXTERNAL_KEY);
	wbm_need(!memcmp(data + BEK_HEADER_SIZE + ENTRY_SIZE, guid, GUID_SIZE));
	key = next_entry(data, &at, (u32)size, VALUE_KEY);
	wbm_need(key && wbm_get16(key) == ENTRY_SIZE + 4 + KEY_SIZE);
	memcpy(ret_key, key + ENTRY_SIZE + 4, KEY_SIZE);
	return EFI_SUCCESS;
}

/* All disks that have the file, whichever of them it is taken from. */
static efi_status_t remember_places(const u16 *path)
{
	u32 nr_media = 0;

	for (u32 i = 0; i < wbm.nr_volumes; i++) {
		const struct wbm_volume *volume = &wbm.volumes[i];
		struct wbm_file file;
		struct wbm_fat fat;

		if (wbm_fat_mount(volume, &fat) && !EFI_ERROR(wbm_fat_open(&fat, path, &file)))
			wbm_try(wbm_remember_place(volume->disk));
	}
	for (u32 i = 0; i < wbm.nr_key_places; i++)
		nr_media += wbm.key_places[i].is_media;
	wbm_fact("places", nr_media, wbm.nr_key_places - nr_media);
	return EFI_SUCCESS;
}

/* Removable media first; a strict boot manager does not see disks whose own path ends in a media node. */
static efi_status_t find_bek(const u8 *guid, u8 *ret_key)
{
	static u16 path[NAME_SIZE];
	bool strict = wbm_option_is("class", "strict");

	bek_path(guid, path);
	wbm_report_bytes("wanted", guid, GUID_SIZE);
	for (u32 pass = 0; pass < 2; pass++)
		for (u32 i = 0; i < wbm.nr_volumes; i++) {
			const struct wbm_volume *volume = &wbm.volumes[i];
			struct wbm_fat fat;
			u64 size;
			u8 *data;

			if (volume->disk->removable == !!pass || (strict && volume->disk->is_media) ||
			    !wbm_fat_mount(volume, &fat) || EFI_ERROR(wbm_fat_load(&fat, path, &data, &size)))
				continue;
			wbm_fact("found", volume->disk->removable, volume->disk->is_media);
			wbm_try(read_bek(data, size, guid, ret_key));
			memset(data, 0, size);
			return remember_places(path);
		}
	return EFI_NOT_FOUND;
}

/* One of the protector's encrypted keys is the volume's, encrypted by the external key. */
static efi_status_t unwrap(const u8 *protector, const u8 *key)
{
	u32 at = VMK_ENTRIES, end = wbm_get16(protector);
	u8 vmk[VMK_MAX], digest[WBM_SHA256_SIZE];
	const u8 *entry;
	bool opened = false;

	while (!opened && (entry = next_entry(protector, &at, end, VALUE_CCM))) {
		u32 size = wbm_get16(entry) - CCM_DATA;

		opened = wbm_get16(entry) > CCM_DATA && size == VMK_HEAD + KEY_SIZE &&
			 wbm_ccm_decrypt(key, entry + CCM_NONCE, entry + CCM_TAG, entry + CCM_DATA, size, vmk);
	}
	wbm_need(opened);
	wbm_sha256(vmk + VMK_HEAD, KEY_SIZE, digest);
	wbm_report_bytes("vmk", digest, sizeof(digest));
	memset(vmk, 0, sizeof(vmk));
	return EFI_SUCCESS;
}

/* Step 9: what the administrator would see, and our end: whoever started us has to do something. */
static efi_status_t ask_for_key(void)
{
	struct efi_simple_text_input *keyboard = wbm.st->con_in;
	struct efi_input_key *pressed = wbm_allocate(sizeof(*pressed));

	wbm_begin(9);
	wbm_try(wbm_call(wbm.st->con_out->output_string, wbm.st->con_out,
			 u"Plug in the USB drive that has the BitLocker key\r\n"));
	for (u32 i = 0; i < POLLS; i++) {
		if (wbm_call(keyboard->read_key_stroke, keyboard, pressed) == EFI_SUCCESS)
			break;
		wbm_call(wbm.bs->stall, POLL_US);
	}
	return EFI_NOT_FOUND;
}

efi_status_t wbm_key(void)
{
	const u8 *protector;
	u8 key[KEY_SIZE], *metadata = NULL;
	efi_status_t status;

	wbm_need(wbm_pattern_is_intact());
	wbm_try(read_metadata(&metadata));
	protector = find_protector(metadata);
	wbm_need(protector);
	status = find_bek(protector + ENTRY_SIZE, key);
	if (status == EFI_NOT_FOUND)
		return ask_for_key();
	if (EFI_ERROR(status))
		return status;
	status = unwrap(protector, key);
	memset(key, 0, sizeof(key));
	return status;
}
