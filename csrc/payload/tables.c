// SPDX-License-Identifier: Apache-2.0
/* Started in place of Linux: are the checksums of the tables that it is given right (UEFI 2.10, 4.2)? */
#include <efi/guids.h>
#include <efi/protocols.h>
#include <payload/console.h>

static struct efi_system_table *st;

static bool is_sealed(struct efi_table_header *table)
{
	u32 said = table->crc32, found = 0;
	efi_status_t status;

	table->crc32 = 0;
	status = st->boot->calculate_crc32(table, table->header_size, &found);
	table->crc32 = said;
	return !EFI_ERROR(status) && found == said;
}

EFIAPI efi_status_t efi_main(efi_handle_t image_handle, struct efi_system_table *system_table)
{
	static u32 ours;
	u64 sealed;

	(void)image_handle;
	st = system_table;
	pk_console_init(st);
	sealed = is_sealed(&st->hdr) | is_sealed(&st->boot->hdr) << 1 | is_sealed(&st->runtime->hdr) << 2;
	st->boot->install_configuration_table(&efi_guid_pykexec_test, &ours);
	pk_put_line(u"PK:payload:sealed:0x", sealed | is_sealed(&st->hdr) << 3);
	return EFI_SUCCESS;
}
