// SPDX-License-Identifier: Apache-2.0
/*
 * Loads the applications that its options name, in order, paths on its own volume with a space between
 * them, and then starts the one behind a '+': the firmware measures them all. "PK:loads:<status>" for each.
 */
#include <common/device_path.h>
#include <common/mem.h>
#include <efi/guids.h>
#include <efi/protocols.h>
#include <payload/console.h>

enum { PATH_MAX = 4096, NAME_MAX = 260 };

static struct efi_system_table *st;

static efi_status_t load(efi_handle_t parent, const struct efi_device_path *volume, const u16 *name,
			 efi_handle_t *ret)
{
	static u8 path[PATH_MAX] __attribute__((aligned(8)));

	if (!pk_device_path_append_file(volume, PATH_MAX, name, path, sizeof(path)))
		return EFI_INVALID_PARAMETER;
	return st->boot->load_image(false, parent, path, NULL, 0, ret);
}

/* The next word of options, without what marks it; its length in the options. */
static u64 next_word(const u16 *options, u16 *ret, bool *ret_marked)
{
	u64 at = 0, used = 0;

	*ret_marked = options[0] == '+';
	at += *ret_marked;
	while (options[at] && options[at] != ' ' && used < NAME_MAX - 1)
		ret[used++] = options[at++];
	ret[used] = 0;
	return at;
}

EFIAPI efi_status_t efi_main(efi_handle_t image_handle, struct efi_system_table *system_table)
{
	const u16 *options;
	struct efi_loaded_image *image;
	struct efi_device_path *volume;
	efi_handle_t chosen = NULL;
	efi_status_t status;

	st = system_table;
	pk_console_init(system_table);
	options = pk_options_of(image_handle);
	status = st->boot->handle_protocol(image_handle, &efi_guid_loaded_image, (void **)&image);
	if (!EFI_ERROR(status))
		status = st->boot->handle_protocol(image->device_handle, &efi_guid_device_path, (void **)&volume);
	while (!EFI_ERROR(status) && *options) {
		u16 name[NAME_MAX];
		efi_handle_t handle;
		bool marked;

		options += next_word(options, name, &marked);
		options += *options == ' ';
		status = load(image_handle, volume, name, &handle);
		pk_put_line(u"PK:loads:0x", status);
		if (marked)
			chosen = handle;
	}
	if (EFI_ERROR(status))
		return status;
	return chosen ? st->boot->start_image(chosen, NULL, NULL) : EFI_NOT_FOUND;
}
