// SPDX-License-Identifier: Apache-2.0
/*
 * Where a payload may say that it comes from, in a firmware whose NIC Linux has: its Load File protocol is
 * gone. Arguments: how our image came ("pxe", "volume", "pxe-in-firmware"), and what the payload says
 * ("device": the very path of that, "longer": a node more, "other"). Prints the status.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stub/end/origin.h>
#include <stub/lib/boot_device.h>
#include <stub/lib/stub.h>

#define NODE(type, subtype) type, subtype, 4, 0
#define END NODE(EFI_DP_END, EFI_DP_END_ENTIRE)

struct efi_boot_services *pk_bs;
struct efi_loaded_image *pk_loaded_image;

static const u8 device[] = { NODE(1, 1), NODE(EFI_DP_MESSAGING, 11), END };
static const u8 longer[] = { NODE(1, 1), NODE(EFI_DP_MESSAGING, 11), NODE(EFI_DP_MESSAGING, 9), END };
static const u8 nothing[] = { END };
static const u8 other[] = { NODE(1, 1), NODE(EFI_DP_MESSAGING, 12), END };
static bool by_load_file, in_firmware;

static bool is(const efi_guid_t *guid, const efi_guid_t *wanted)
{
	return !memcmp(guid, wanted, sizeof(*guid));
}

static efi_status_t EFIAPI handle_protocol(efi_handle_t handle, const efi_guid_t *guid, void **ret)
{
	(void)handle;
	if (is(guid, &efi_guid_load_file) && !by_load_file)
		return EFI_UNSUPPORTED;
	*ret = (void *)device;
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI locate_device_path(const efi_guid_t *guid, struct efi_device_path **path, efi_handle_t *ret)
{
	(void)path;
	(void)ret;
	return in_firmware && is(guid, &efi_guid_firmware_volume2) ? EFI_SUCCESS : EFI_NOT_FOUND;
}

int main(int argc, char **argv)
{
	static struct efi_boot_services services = {
		.handle_protocol = handle_protocol,
		.locate_device_path = locate_device_path,
	};
	static struct efi_loaded_image image = { .device_handle = &services, .file_path = (void *)nothing };
	const u8 *path;

	if (argc != 3)
		return 2;
	pk_bs = &services;
	pk_loaded_image = &image;
	by_load_file = !strncmp(argv[1], "pxe", 3);
	in_firmware = !strcmp(argv[1], "pxe-in-firmware");
	pk_boot_device_init();
	path = !strcmp(argv[2], "device") ? device : !strcmp(argv[2], "longer") ? longer : other;
	printf("%#llx\n", (unsigned long long)pk_origin_check(path));
	return 0;
}
