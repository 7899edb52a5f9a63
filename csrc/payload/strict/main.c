// SPDX-License-Identifier: Apache-2.0
/*
 * Firmware that is stricter, or odder, than OVMF: takes on the habits that its load options name, each
 * with a hexadecimal value, and then starts our image, which says what it is started with.
 */
#include <common/device_path.h>
#include <efi/guids.h>
#include <payload/console.h>
#include <payload/strict/strict.h>

enum { PATH_SIZE = 1024 };

struct efi_system_table *strict_st;
struct efi_boot_services *strict_bs;

/* In the order in which they are taken on. */
static const struct {
	const char *name;
	efi_status_t (*take_on)(u64 value);
} habits[] = {
	{ "map=", strict_map },
	{ "low=", strict_low },
	{ "nx=", strict_nx },
	{ "users=", strict_users },
	{ "la57=", strict_la57 },
	{ "cr4=", strict_cr4 },
	{ "dr0=", strict_dr0 },
};

static efi_status_t load_image(efi_handle_t image_handle, efi_handle_t *ret)
{
	static u8 path[PATH_SIZE] __attribute__((aligned(8)));
	struct efi_loaded_image *image;
	efi_status_t status;
	void *device;

	status = strict_bs->handle_protocol(image_handle, &efi_guid_loaded_image, (void **)&image);
	if (EFI_ERROR(status))
		return status;
	status = strict_bs->handle_protocol(image->device_handle, &efi_guid_device_path, &device);
	if (EFI_ERROR(status))
		return status;
	if (!pk_device_path_append_file(device, PATH_SIZE, u"\\EFI\\pykexec\\pykexec.efi", path, PATH_SIZE))
		return EFI_BAD_BUFFER_SIZE;
	return strict_bs->load_image(false, image_handle, path, NULL, 0, ret);
}

static u64 start(void *next)
{
	return strict_bs->start_image(next, NULL, NULL);
}

EFIAPI efi_status_t efi_main(efi_handle_t image_handle, struct efi_system_table *system_table)
{
	const u16 *options;
	efi_status_t status;
	efi_handle_t next;
	u64 value, top = 0;

	strict_st = system_table;
	strict_bs = system_table->boot;
	pk_console_init(system_table);
	options = pk_options_of(image_handle);
	status = load_image(image_handle, &next);
	for (u32 i = 0; i < sizeof(habits) / sizeof(habits[0]) && !EFI_ERROR(status); i++)
		if (pk_option(options, habits[i].name, &value))
			status = habits[i].take_on(value);
	if (!EFI_ERROR(status) && pk_option(options, "stack=", &value))
		status = strict_stack(value, &top);
	pk_put_line(u"PK:payload:strict:0x", status);
	if (EFI_ERROR(status))
		return status;
	/* Last: nothing can be said afterwards. */
	if (pk_option(options, "consoles=", &value))
		strict_consoles(value);
	return top ? strict_on_stack(start, next, top) : start(next);
}
