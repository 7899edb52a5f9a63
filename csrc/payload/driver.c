// SPDX-License-Identifier: Apache-2.0
/*
 * The test driver; its options say what it does once it is loaded:
 * (nothing)  install a protocol that only we know, and stay
 * "refuse"   return EFI_DEVICE_ERROR
 * "hide"     take EFI_RAM_DISK_PROTOCOL away, so that the firmware has none
 * "hold"     take every RAM disk for itself and never let go
 * "hang"     have every volume never answer again
 */
#include <efi/guids.h>
#include <efi/protocols.h>

static struct efi_boot_services *bs;

static bool begins(const u16 *options, const char *word)
{
	while (*word && *options == (u8)*word)
		options++, word++;
	return !*word;
}

static efi_status_t hide(void)
{
	efi_status_t status = EFI_NOT_FOUND;
	efi_handle_t *handles;
	u64 nr_handles;
	void *interface;

	status = bs->locate_handle_buffer(EFI_BY_PROTOCOL, &efi_guid_ram_disk, NULL, &nr_handles, &handles);
	for (u64 i = 0; !EFI_ERROR(status) && i < nr_handles; i++) {
		status = bs->handle_protocol(handles[i], &efi_guid_ram_disk, &interface);
		if (!EFI_ERROR(status))
			status = bs->uninstall_protocol_interface(handles[i], &efi_guid_ram_disk, interface);
	}
	return status;
}

static bool is_ram_disk(efi_handle_t handle)
{
	const u8 *path;

	if (EFI_ERROR(bs->handle_protocol(handle, &efi_guid_device_path, (void **)&path)))
		return false;
	/* Not its partitions, whose paths go on. */
	return path[0] == EFI_DP_MEDIA && path[1] == EFI_DP_MEDIA_RAM_DISK && path[path[2]] == EFI_DP_END;
}

static efi_status_t hold(efi_handle_t image)
{
	efi_status_t status;
	efi_handle_t *handles;
	u64 nr_handles, nr_held = 0;
	void *interface;

	status = bs->locate_handle_buffer(EFI_BY_PROTOCOL, &efi_guid_block_io, NULL, &nr_handles, &handles);
	for (u64 i = 0; !EFI_ERROR(status) && i < nr_handles; i++) {
		if (!is_ram_disk(handles[i]))
			continue;
		status = bs->open_protocol(handles[i], &efi_guid_block_io, &interface, image, handles[i],
					   EFI_OPEN_PROTOCOL_BY_DRIVER | EFI_OPEN_PROTOCOL_EXCLUSIVE);
		nr_held++;
	}
	if (EFI_ERROR(status))
		return status;
	return nr_held ? EFI_SUCCESS : EFI_NOT_FOUND;
}

static EFIAPI efi_status_t never_open(struct efi_simple_file_system *volume, struct efi_file **ret)
{
	(void)volume;
	(void)ret;
	for (;;)
		__asm__ volatile("pause");
	return EFI_DEVICE_ERROR;
}

static efi_status_t hang(void)
{
	struct efi_simple_file_system *volume;
	efi_status_t status;
	efi_handle_t *handles;
	u64 nr_handles;

	status = bs->locate_handle_buffer(EFI_BY_PROTOCOL, &efi_guid_simple_file_system, NULL, &nr_handles,
					  &handles);
	for (u64 i = 0; !EFI_ERROR(status) && i < nr_handles; i++) {
		status = bs->handle_protocol(handles[i], &efi_guid_simple_file_system, (void **)&volume);
		if (!EFI_ERROR(status))
			volume->open_volume = never_open;
	}
	return status;
}

EFIAPI efi_status_t efi_main(efi_handle_t image_handle, struct efi_system_table *system_table)
{
	static u32 interface;
	struct efi_loaded_image *image;
	efi_handle_t handle = NULL;
	const u16 *options = u"";
	efi_status_t status;

	bs = system_table->boot;
	status = bs->handle_protocol(image_handle, &efi_guid_loaded_image, (void **)&image);
	if (EFI_ERROR(status))
		return status;
	if (image->load_options_size)
		options = image->load_options;
	if (begins(options, "refuse"))
		return EFI_DEVICE_ERROR;
	if (begins(options, "hide"))
		return hide();
	if (begins(options, "hold"))
		return hold(image_handle);
	if (begins(options, "hang"))
		return hang();
	return bs->install_protocol_interface(&handle, &efi_guid_pykexec_test, EFI_NATIVE_INTERFACE, &interface);
}
