// SPDX-License-Identifier: Apache-2.0
/* Firmware whose pages are all user pages, which is its own affair: makes them so, then starts our image. */
#include <common/device_path.h>
#include <efi/guids.h>
#include <efi/protocols.h>
#include <payload/console.h>

enum {
	LEVELS = 4,
	ENTRIES = 512,
	PRESENT = 1,
	USER = 4,
	LARGE = 0x80,
	CR0_WRITE_PROTECT = 0x10000,
	PATH_SIZE = 1024,
};

#define ADDRESS_BITS 0x000ffffffffff000ULL

static void open_pages(u64 root)
{
	u64 *tables[LEVELS] = { (u64 *)(root & ADDRESS_BITS) };
	u32 next[LEVELS] = { 0 };
	u32 depth = 0;

	for (;;) {
		u64 *entry = &tables[depth][next[depth]];

		if (next[depth]++ == ENTRIES) {
			if (!depth--)
				return;
			continue;
		}
		if (!(*entry & PRESENT))
			continue;
		*entry |= USER;
		if (depth == LEVELS - 1 || *entry & LARGE)
			continue;
		tables[++depth] = (u64 *)(*entry & ADDRESS_BITS);
		next[depth] = 0;
	}
}

static void open_all_pages(void)
{
	u64 cr0, cr3;

	__asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
	__asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
	/* The tables themselves may be read-only. */
	__asm__ volatile("mov %0, %%cr0" : : "r"(cr0 & ~(u64)CR0_WRITE_PROTECT));
	open_pages(cr3);
	__asm__ volatile("mov %0, %%cr0" : : "r"(cr0));
	__asm__ volatile("mov %0, %%cr3" : : "r"(cr3) : "memory");
}

EFIAPI efi_status_t efi_main(efi_handle_t image_handle, struct efi_system_table *system_table)
{
	static u8 path[PATH_SIZE] __attribute__((aligned(8)));
	struct efi_boot_services *bs = system_table->boot;
	struct efi_loaded_image *image;
	efi_handle_t next;
	efi_status_t status;
	void *device;

	pk_console_init(system_table);
	status = bs->handle_protocol(image_handle, &efi_guid_loaded_image, (void **)&image);
	if (EFI_ERROR(status))
		return status;
	status = bs->handle_protocol(image->device_handle, &efi_guid_device_path, &device);
	if (EFI_ERROR(status))
		return status;
	if (!pk_device_path_append_file(device, PATH_SIZE, u"\\EFI\\pykexec\\pykexec.efi", path, PATH_SIZE))
		return EFI_BAD_BUFFER_SIZE;
	status = bs->load_image(false, image_handle, path, NULL, 0, &next);
	if (EFI_ERROR(status))
		return status;
	open_all_pages();
	pk_put_line(u"PK:payload:userpages:0x", 0);
	return bs->start_image(next, NULL, NULL);
}
