// SPDX-License-Identifier: Apache-2.0
/* Step 4: keyboard, text, screen, clock, variables and the tables of the firmware. */
#include <payload/bootmgr/bootmgr.h>

enum {
	RSDP10_SIZE	= 20,
	RSDP20_SIZE	= 36,
	RSDP_XSDT	= 24,
	ACPI_HEADER_SIZE = 36,
	MADT_ENTRIES	= 44,
	MADT_LOCAL_APIC	= 0,
	MADT_LOCAL_X2APIC = 9,
	NR_PIXELS	= 64,
	HANDLES_MAX	= 64,
	LIGHT_GRAY	= 7,
	YEAR_MIN	= 2020,
	YEAR_MAX	= 2100,
	MOR_CLEAR	= 1,
	RUNTIME_ATTRIBUTES = EFI_VARIABLE_NON_VOLATILE | EFI_VARIABLE_BOOTSERVICE_ACCESS | EFI_VARIABLE_RUNTIME_ACCESS,
};

static efi_status_t check_keyboard(void)
{
	struct efi_simple_text_input_ex *keyboard;
	u8 *state = wbm_allocate(sizeof(*state));

	wbm_try(wbm_call(wbm.bs->open_protocol, wbm.st->con_in_handle, &efi_guid_simple_text_input_ex, &keyboard,
			 wbm.image_handle, NULL, EFI_OPEN_PROTOCOL_GET_PROTOCOL));
	*state = EFI_TOGGLE_STATE_VALID;
	/* Not every keyboard has lights. */
	wbm_fact("state", wbm_call(keyboard->set_state, keyboard, state));
	wbm_try(wbm_call(keyboard->reset, keyboard, false));
	wbm_try(wbm_call(wbm.bs->set_watchdog_timer, 0, 0, 0, NULL));
	return EFI_SUCCESS;
}

static efi_status_t check_text(void)
{
	struct efi_simple_text_output *out = wbm.st->con_out;
	u64 *size = wbm_allocate(2 * sizeof(*size));
	u64 mode = out->mode->mode;

	wbm_try(wbm_call(out->query_mode, out, mode, &size[0], &size[1]));
	wbm_fact("text", out->mode->max_mode, mode, size[0], size[1]);
	wbm_try(wbm_call(out->set_mode, out, mode));
	wbm_try(wbm_call(out->set_attribute, out, LIGHT_GRAY));
	/* A graphics console has none. */
	wbm_fact("cursor", wbm_call(out->enable_cursor, out, false));
	wbm_try(wbm_call(out->set_cursor_position, out, 0, 0));
	wbm_try(wbm_call(out->output_string, out, u"PK:wbm:text\r\n"));
	return EFI_SUCCESS;
}

static efi_status_t check_time(void)
{
	struct efi_time *time = wbm_allocate(sizeof(*time));
	u32 year;

	wbm_try(wbm_call(wbm.rt->get_time, time, NULL));
	year = wbm_get16(time->bytes);
	wbm_need(year >= YEAR_MIN && year < YEAR_MAX);
	wbm_need(time->bytes[2] >= 1 && time->bytes[2] <= 12 && time->bytes[3] >= 1 && time->bytes[3] <= 31);
	return EFI_SUCCESS;
}

static efi_status_t read_variable(u16 *name, const efi_guid_t *vendor, void *data, u64 capacity, u64 *ret_size)
{
	*ret_size = capacity;
	return wbm_call(wbm.rt->get_variable, name, vendor, NULL, ret_size, data);
}

/* The request to clear memory, before any key is in it; not all firmware knows it, or lets it be made. */
static efi_status_t check_overwrite(u8 *data, u64 *size)
{
	static u16 name[] = u"MemoryOverwriteRequestControl";
	efi_status_t read = read_variable(name, &efi_guid_memory_overwrite, data, 1, size), written;

	data[0] = MOR_CLEAR;
	written = wbm_call(wbm.rt->set_variable, name, &efi_guid_memory_overwrite, RUNTIME_ATTRIBUTES, 1, data);
	wbm_fact("overwrite", read, written);
	if (EFI_ERROR(written))
		return EFI_SUCCESS;
	data[0] = 0;
	wbm_try(read_variable(name, &efi_guid_memory_overwrite, data, 1, size));
	wbm_need(data[0] & MOR_CLEAR);
	return EFI_SUCCESS;
}

static efi_status_t check_variables(void)
{
	static u16 own[] = u"UnlockIDCopy";
	const u32 kept = EFI_VARIABLE_NON_VOLATILE | EFI_VARIABLE_BOOTSERVICE_ACCESS;
	u8 *data = wbm_allocate(WBM_PAGE), *setup = data + 16, *secure = data + 32, *booted = data + 48;
	u64 *size = wbm_allocate(sizeof(*size));

	setup[0] = secure[0] = 0xff;
	read_variable(u"SetupMode", &efi_guid_global_variable, setup, 1, size);
	read_variable(u"SecureBoot", &efi_guid_global_variable, secure, 1, size);
	wbm_try(read_variable(u"BootCurrent", &efi_guid_global_variable, booted, 2, size));
	wbm_fact("variables", setup[0], secure[0], wbm_get16(booted));
	wbm_need(read_variable(own, &efi_guid_windows_boot, data, 8, size) == EFI_NOT_FOUND);
	data[0] = 0x5a;
	wbm_try(wbm_call(wbm.rt->set_variable, own, &efi_guid_windows_boot, kept, 8, data));
	data[0] = 0;
	wbm_try(read_variable(own, &efi_guid_windows_boot, data, 8, size));
	wbm_need(*size == 8 && data[0] == 0x5a);
	wbm_try(wbm_call(wbm.rt->set_variable, own, &efi_guid_windows_boot, kept, 0, NULL));
	wbm_need(read_variable(own, &efi_guid_windows_boot, data, 8, size) == EFI_NOT_FOUND);
	return check_overwrite(data, size);
}

/* The size is asked first, as Windows does. */
static efi_status_t check_screen(void)
{
	efi_handle_t *handles = wbm_allocate(HANDLES_MAX * sizeof(*handles));
	u32 *pixels = wbm_allocate(NR_PIXELS * sizeof(*pixels));
	struct efi_graphics_output *screen;
	volatile u32 *memory;
	u64 size = 0;

	wbm_need(wbm_call(wbm.bs->locate_handle, EFI_BY_PROTOCOL, &efi_guid_graphics_output, NULL, &size, NULL) ==
		 EFI_BUFFER_TOO_SMALL);
	wbm_need(size <= HANDLES_MAX * sizeof(*handles));
	wbm_try(wbm_call(wbm.bs->locate_handle, EFI_BY_PROTOCOL, &efi_guid_graphics_output, NULL, &size, handles));
	wbm_try(wbm_call(wbm.bs->handle_protocol, handles[0], &efi_guid_graphics_output, &screen));
	wbm_fact("screen", size / sizeof(*handles), screen->mode->mode, screen->mode->info->horizontal_resolution,
		 screen->mode->info->vertical_resolution, screen->mode->info->pixel_format);
	wbm_need(screen->mode->info->pixel_format == EFI_PIXEL_BLUE_GREEN_RED_RESERVED);
	wbm_need(screen->mode->info->pixels_per_scan_line == screen->mode->info->horizontal_resolution);
	memory = (volatile u32 *)screen->mode->frame_buffer_base;
	for (u32 i = 0; i < NR_PIXELS; i++)
		memory[i] = 0x00010203 * (i + 1);
	wbm_try(wbm_call(screen->blt, screen, pixels, EFI_BLT_VIDEO_TO_BUFFER, 0, 0, 0, 0, NR_PIXELS, 1, 0));
	for (u32 i = 0; i < NR_PIXELS; i++)
		wbm_need((pixels[i] & 0xffffff) == ((0x00010203 * (i + 1)) & 0xffffff));
	return EFI_SUCCESS;
}

static bool sums_to_zero(const u8 *data, u64 size)
{
	u8 sum = 0;

	for (u64 i = 0; i < size; i++)
		sum += data[i];
	return !sum;
}

static const u8 *table_of(const efi_guid_t *guid)
{
	for (u64 i = 0; i < wbm.st->nr_tables; i++)
		if (!memcmp(&wbm.st->tables[i].vendor_guid, guid, sizeof(*guid)))
			return wbm.st->tables[i].vendor_table;
	return NULL;
}

static u32 nr_processors(const u8 *madt, u32 size)
{
	u32 nr = 0;

	for (u32 at = MADT_ENTRIES; at + 2 <= size && madt[at + 1]; at += madt[at + 1])
		nr += madt[at] == MADT_LOCAL_APIC || madt[at] == MADT_LOCAL_X2APIC;
	return nr;
}

static efi_status_t check_acpi(void)
{
	const u8 *rsdp = table_of(&efi_guid_acpi20_table), *old = table_of(&efi_guid_acpi10_table), *xsdt;
	bool has_nfit = false;
	u32 size;

	wbm_need(rsdp && !memcmp(rsdp, "RSD PTR ", 8));
	wbm_need(sums_to_zero(rsdp, RSDP10_SIZE) && sums_to_zero(rsdp, RSDP20_SIZE));
	wbm_need(!old || (!memcmp(old, "RSD PTR ", 8) && sums_to_zero(old, RSDP10_SIZE)));
	xsdt = (const u8 *)wbm_get64(rsdp + RSDP_XSDT);
	size = wbm_get32(xsdt + 4);
	wbm_need(!memcmp(xsdt, "XSDT", 4) && sums_to_zero(xsdt, size));
	for (u32 at = ACPI_HEADER_SIZE; at < size; at += sizeof(u64)) {
		const u8 *table = (const u8 *)wbm_get64(xsdt + at);
		u32 table_size = wbm_get32(table + 4);
		u8 digest[WBM_SHA256_SIZE];

		wbm_need(sums_to_zero(table, table_size));
		has_nfit |= !memcmp(table, "NFIT", 4);
		if (!memcmp(table, "APIC", 4))
			wbm_fact("processors", nr_processors(table, table_size));
		/* Where a logo lies is another place each time; the RAM disks are not the firmware's. */
		wbm_sha256(table, memcmp(table, "BGRT", 4) ? table_size : 0, digest);
		if (memcmp(table, "NFIT", 4))
			wbm_fact("acpi", wbm_get32(table), table_size, digest[0], digest[1], digest[2], digest[3]);
	}
	wbm_need(has_nfit == wbm_option_is("persist", "1"));
	return EFI_SUCCESS;
}

static efi_status_t check_smbios(void)
{
	const u8 *entry = table_of(&efi_guid_smbios3_table);

	if (entry) {
		wbm_need(!memcmp(entry, "_SM3_", 5) && sums_to_zero(entry, entry[6]));
		wbm_fact("smbios", entry[7], entry[8]);
		return EFI_SUCCESS;
	}
	entry = table_of(&efi_guid_smbios_table);
	wbm_need(entry && !memcmp(entry, "_SM_", 4) && sums_to_zero(entry, entry[5]));
	wbm_fact("smbios", entry[6], entry[7]);
	wbm_need(entry[6] > 2 || entry[7] >= 4);
	return EFI_SUCCESS;
}

efi_status_t wbm_console(void)
{
	wbm_try(check_keyboard());
	wbm_try(check_text());
	wbm_try(check_time());
	wbm_try(check_variables());
	wbm_try(check_screen());
	wbm_try(check_acpi());
	wbm_try(check_smbios());
	return EFI_SUCCESS;
}
