// SPDX-License-Identifier: Apache-2.0
/* Memory in pieces, little of it below 4 GiB, none of it to be executed; and consoles that there are not. */
#include <efi/guids.h>
#include <payload/strict/strict.h>

enum {
	MAP_PAGES = 128,
	FOUR_GIB_IN_PAGES = 0x100000,
	FIRST_MIB_IN_PAGES = 0x100,
	MIB_IN_PAGES = 0x100,
	NO_CON_IN = 1,
	NO_CON_OUT = 2,
	NO_STD_ERR = 4,
};

static struct efi_memory_attribute *memory;
static efi_status_t (EFIAPI *firmware_allocate_pages)(u32 type, u32 memory_type, u64 nr_pages, u64 *address);

static void seal(struct efi_table_header *table)
{
	u32 crc = 0;

	table->crc32 = 0;
	strict_bs->calculate_crc32(table, table->header_size, &crc);
	table->crc32 = crc;
}

efi_status_t strict_map(u64 value)
{
	efi_status_t status;
	u64 start = 0;

	/* Each second page free. */
	status = strict_bs->allocate_pages(EFI_ALLOCATE_ANY_PAGES, EFI_BOOT_SERVICES_DATA, value, &start);
	for (u64 i = 1; i < value && !EFI_ERROR(status); i += 2)
		status = strict_bs->free_pages(start + i * PK_PAGE_SIZE, 1);
	return status;
}

efi_status_t strict_low(u64 value)
{
	static u8 map[MAP_PAGES * PK_PAGE_SIZE] __attribute__((aligned(8)));
	u64 size = sizeof(map), left = value * MIB_IN_PAGES, key, step;
	efi_status_t status;
	u32 version;

	status = strict_bs->get_memory_map(&size, map, &key, &step, &version);
	for (u64 at = 0; at < size && !EFI_ERROR(status); at += step) {
		const struct efi_memory_descriptor *each = (const void *)(map + at);
		u64 first = each->physical_start / PK_PAGE_SIZE, kept = each->number_of_pages;
		u64 start = each->physical_start;

		if (each->type != EFI_CONVENTIONAL_MEMORY || first < FIRST_MIB_IN_PAGES || first >= FOUR_GIB_IN_PAGES)
			continue;
		if (kept > left)
			kept = left;
		left -= kept;
		if (kept < each->number_of_pages)
			status = strict_bs->allocate_pages(EFI_ALLOCATE_ADDRESS, EFI_BOOT_SERVICES_DATA,
							   each->number_of_pages - kept, &start);
	}
	return status;
}

static efi_status_t EFIAPI allocate_data(u32 type, u32 memory_type, u64 nr_pages, u64 *address)
{
	efi_status_t status = firmware_allocate_pages(type, memory_type, nr_pages, address);

	if (EFI_ERROR(status))
		return status;
	return memory->set(memory, *address, nr_pages * PK_PAGE_SIZE, EFI_MEMORY_XP);
}

efi_status_t strict_nx(u64 value)
{
	efi_status_t status;

	(void)value;
	status = strict_bs->locate_protocol(&efi_guid_memory_attribute, NULL, (void **)&memory);
	if (EFI_ERROR(status))
		return status;
	firmware_allocate_pages = strict_bs->allocate_pages;
	strict_bs->allocate_pages = allocate_data;
	seal(&strict_bs->hdr);
	return EFI_SUCCESS;
}

efi_status_t strict_stack(u64 value, u64 *ret_top)
{
	efi_status_t status;
	u64 start;

	status = strict_bs->locate_protocol(&efi_guid_memory_attribute, NULL, (void **)&memory);
	if (!EFI_ERROR(status))
		status = strict_bs->allocate_pages(EFI_ALLOCATE_ANY_PAGES, EFI_BOOT_SERVICES_DATA, value + 1, &start);
	if (!EFI_ERROR(status))
		status = memory->set(memory, start, PK_PAGE_SIZE, EFI_MEMORY_RP);
	if (!EFI_ERROR(status))
		*ret_top = start + (value + 1) * PK_PAGE_SIZE;
	return status;
}

efi_status_t strict_consoles(u64 value)
{
	if (value & NO_CON_IN)
		strict_st->con_in = NULL;
	if (value & NO_CON_OUT)
		strict_st->con_out = NULL;
	if (value & NO_STD_ERR)
		strict_st->std_err = NULL;
	seal(&strict_st->hdr);
	return EFI_SUCCESS;
}
