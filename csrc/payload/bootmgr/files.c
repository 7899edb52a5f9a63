// SPDX-License-Identifier: Apache-2.0
/*
 * Step 6: the BCD, what it names by default, and the loader that this names, all read by ourselves; or, of
 * an installer, the wim that it names and whatever else its disk has.
 */
#include <payload/bootmgr/bootmgr.h>

enum {
	REG_SZ		= 1,
	REG_BINARY	= 3,
	REG_MULTI_SZ	= 7,
	GUID_TEXT	= 38,
	PATH_MAX	= 260,
	DIGEST_BUFFER	= 1024 * 1024,
	DEVICE_HEADER	= 32,
	/* An element that names a device (ReactOS, BL_DEVICE_DESCRIPTOR behind 16 bytes of options). */
	DEVICE_TYPE	= 16,
	DEVICE_PARTITION = 32,
	DEVICE_SIZE_MIN	= 72,
	TYPE_PARTITION	= 6,
};

#define BCD_PATH u"\\EFI\\Microsoft\\Boot\\BCD"
#define BOOT_MANAGER "{9dea862c-5cdd-4e70-acc1-f32b344d4795}"
#define DEFAULT_OBJECT "23000003"
#define DISPLAY_ORDER "24000001"
#define APPLICATION_DEVICE "11000001"
#define APPLICATION_PATH "12000002"
#define OS_DEVICE "21000001"
#define SYSTEM_ROOT "22000002"

static struct wbm_hive bcd;

static void append(char *text, const char *more)
{
	while (*text)
		text++;
	while ((*text++ = *more++))
		;
}

/* The value of an element of an object. */
static efi_status_t element(const char *object, const char *name, u32 type, const u8 **ret, u32 *ret_size)
{
	char path[PATH_MAX] = "Objects\\";
	u32 key, found;

	append(path, object);
	append(path, "\\Elements\\");
	append(path, name);
	key = wbm_hive_key(&bcd, path);
	wbm_need(key);
	wbm_need(wbm_hive_value(&bcd, key, "Element", &found, ret, ret_size));
	wbm_need(found == type);
	return EFI_SUCCESS;
}

static efi_status_t default_object(char *ret)
{
	const u8 *text, *order;
	u32 size, order_size;

	wbm_try(element(BOOT_MANAGER, DEFAULT_OBJECT, REG_SZ, &text, &size));
	wbm_need(size == (GUID_TEXT + 1) * sizeof(u16));
	wbm_try(element(BOOT_MANAGER, DISPLAY_ORDER, REG_MULTI_SZ, &order, &order_size));
	wbm_need(order_size >= size && !memcmp(order, text, size));
	for (u32 i = 0; i <= GUID_TEXT; i++)
		ret[i] = (char)text[2 * i];
	return EFI_SUCCESS;
}

static efi_status_t device(const char *object, const char *name, const struct wbm_volume **ret)
{
	const u8 *data;
	u32 size;

	wbm_try(element(object, name, REG_BINARY, &data, &size));
	wbm_need(size >= DEVICE_SIZE_MIN && data[DEVICE_TYPE] == TYPE_PARTITION);
	*ret = wbm_volume_by_guid(data + DEVICE_PARTITION);
	wbm_need(*ret);
	return EFI_SUCCESS;
}

static efi_status_t open_bcd(const struct wbm_fat *fat)
{
	static const u8 name[] = "B\0C\0D\0000\0000\0000\0000\0000\0000\0000\0000\0";
	const u8 *found;
	u8 *data;
	u64 size;
	u32 type, found_size;

	wbm_try(wbm_fat_load(fat, BCD_PATH, &data, &size));
	wbm_need(wbm_hive_open(data, size, &bcd));
	wbm_need(wbm_hive_value(&bcd, wbm_hive_key(&bcd, "Description"), "KeyName", &type, &found, &found_size));
	wbm_need(type == REG_SZ && found_size >= 22 && !memcmp(found, name, 22));
	return EFI_SUCCESS;
}

static efi_status_t check_loader(const char *object)
{
	static u16 path[PATH_MAX];
	const struct wbm_volume *volume;
	u8 digest[WBM_SHA256_SIZE], wanted[WBM_SHA256_SIZE];
	struct wbm_fat fat;
	const u8 *text;
	u8 *data;
	u64 size;
	u32 text_size;

	wbm_try(device(object, APPLICATION_DEVICE, &volume));
	wbm_try(element(object, APPLICATION_PATH, REG_SZ, &text, &text_size));
	wbm_need(text_size < sizeof(path));
	memcpy(path, text, text_size);
	wbm_need(wbm_fat_mount(volume, &fat));
	wbm_try(wbm_fat_load(&fat, path, &data, &size));
	wbm_sha256(data, size, digest);
	wbm_report_bytes("loader", digest, sizeof(digest));
	wbm_need(!wbm_option_digest("loader_sha256", wanted) || !memcmp(digest, wanted, sizeof(wanted)));
	return EFI_SUCCESS;
}

efi_status_t wbm_files(void)
{
	char object[GUID_TEXT + 1];
	struct wbm_fat fat;
	const u8 *root;
	u32 size;

	wbm_need(wbm_fat_mount(wbm.boot_volume, &fat));
	wbm_fact("fat", fat.bits, fat.cluster_size);
	wbm_try(open_bcd(&fat));
	wbm_try(default_object(object));
	wbm_report_bytes("default", object, GUID_TEXT);
	wbm_try(element(object, SYSTEM_ROOT, REG_SZ, &root, &size));
	wbm_try(device(object, OS_DEVICE, &wbm.os_volume));
	wbm_try(check_loader(object));
	return EFI_SUCCESS;
}

/* The path behind what the device of a RAM disk begins with: the last that it has. */
static efi_status_t wim_path(const char *object, u16 *ret)
{
	const u8 *data;
	u32 size, at = DEVICE_HEADER, n = 0;

	wbm_try(element(object, APPLICATION_DEVICE, REG_BINARY, &data, &size));
	while (at + 1 < size && wbm_get16(data + at) != '\\')
		at += (u32)sizeof(u16);
	for (; at + 1 < size && wbm_get16(data + at) && n < PATH_MAX - 1; at += (u32)sizeof(u16))
		ret[n++] = (u16)wbm_get16(data + at);
	ret[n] = 0;
	wbm_need(n);
	return EFI_SUCCESS;
}

static efi_status_t report_digest(const struct wbm_fat *fat, const char *name, const u16 *path)
{
	static u8 *buffer;
	u8 digest[WBM_SHA256_SIZE];

	if (!buffer)
		buffer = wbm_allocate(DIGEST_BUFFER);
	wbm_need(buffer);
	wbm_try(wbm_fat_digest(fat, path, buffer, DIGEST_BUFFER, digest));
	wbm_report_bytes(name, digest, sizeof(digest));
	return EFI_SUCCESS;
}

efi_status_t wbm_installer(void)
{
	static u16 wim[PATH_MAX];
	char object[GUID_TEXT + 1];
	struct wbm_fat fat;

	wbm_need(wbm_fat_mount(wbm.boot_volume, &fat));
	wbm_fact("fat", fat.bits, fat.cluster_size);
	wbm_try(open_bcd(&fat));
	wbm_try(default_object(object));
	wbm_try(wim_path(object, wim));
	wbm_try(report_digest(&fat, "bootx64", u"\\EFI\\BOOT\\BOOTX64.EFI"));
	wbm_try(report_digest(&fat, "bootmgfw", u"\\EFI\\Microsoft\\Boot\\bootmgfw.efi"));
	wbm_try(report_digest(&fat, "bcd", BCD_PATH));
	wbm_try(report_digest(&fat, "bcd", u"\\Boot\\BCD"));
	wbm_try(report_digest(&fat, "sdi", u"\\Boot\\boot.sdi"));
	wbm_try(report_digest(&fat, "stl", u"\\sources\\boot.stl"));
	wbm_try(report_digest(&fat, "wim", wim));
	return EFI_SUCCESS;
}
