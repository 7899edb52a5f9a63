// SPDX-License-Identifier: Apache-2.0
/* Steps 0 and 1: the state of the processor, the tables, and what we were started as. */
#include <common/crc32.h>
#include <common/device_path.h>
#include <payload/bootmgr/bootmgr.h>
#include <stub/lib/cpu.h>
#include <stub/lib/io.h>

enum {
	MSR_PAT		= 0x277,
	RFLAGS_IF	= 0x200,
	RFLAGS_DF	= 0x400,
	RFLAGS_TF	= 0x100,
	RFLAGS_IOPL	= 0x3000,
	RFLAGS_AC	= 0x40000,
	STACK_SIZE	= 100 * 1024,
	EARLY_MAP_SIZE	= 64 * 1024,
	TABLE_MAX	= 1024,
	PATH_MAX	= 4096,
	NAME_MAX	= 260,
};

#define MSR_EFER 0xc0000080U
#define OWN_PATH u"\\EFI\\Microsoft\\Boot\\bootmgfw.efi"
#define MEDIUM_PATH u"\\EFI\\BOOT\\BOOTX64.EFI"
#define BCD_OBJECT "{9dea862c-5cdd-4e70-acc1-f32b344d4795}"

static u64 read_flags(void)
{
	u64 flags;

	__asm__ volatile("pushfq; pop %0" : "=r"(flags));
	return flags;
}

static efi_status_t check_processor(void)
{
	u64 flags = read_flags();

	wbm_fact("cr", pk_cpu_read(PK_CPU_CR0), pk_cpu_read(PK_CPU_CR4), pk_cpu_read(PK_CPU_CR8));
	wbm_fact("msr", pk_rdmsr(MSR_EFER), pk_rdmsr(MSR_PAT));
	wbm_fact("fpu", pk_cpu_read(PK_CPU_FPU_CW), pk_cpu_read(PK_CPU_FPU_MXCSR));
	wbm_fact("limits", pk_cpu_read(PK_CPU_GDT_LIMIT), pk_cpu_read(PK_CPU_IDT_LIMIT));
	wbm_fact("selectors", pk_cpu_read(PK_CPU_SEL_CS), pk_cpu_read(PK_CPU_SEL_SS), pk_cpu_read(PK_CPU_SEL_DS),
		 pk_cpu_read(PK_CPU_SEL_ES), pk_cpu_read(PK_CPU_SEL_FS), pk_cpu_read(PK_CPU_SEL_GS),
		 pk_cpu_read(PK_CPU_SEL_LDT));
	wbm_fact("task", pk_cpu_read(PK_CPU_SEL_TR));
	wbm_fact("flags", flags & (RFLAGS_IF | RFLAGS_DF | RFLAGS_TF | RFLAGS_IOPL | RFLAGS_AC));
	wbm_place("tables", pk_cpu_read(PK_CPU_CR3), pk_cpu_read(PK_CPU_GDT_BASE), pk_cpu_read(PK_CPU_IDT_BASE));
	wbm_need(flags & RFLAGS_IF);
	wbm_need(!(flags & RFLAGS_DF));
	return EFI_SUCCESS;
}

/* The frame of a function of this convention is aligned if the stack was at its caller's call. */
static efi_status_t check_stack(void)
{
	u64 top = (u64)__builtin_frame_address(0) & ~(u64)(WBM_PAGE - 1);
	const struct efi_memory_descriptor *found;

	wbm_need((u64)__builtin_frame_address(0) % 16 == 0);
	found = wbm_descriptor(&wbm.map, top - STACK_SIZE);
	wbm_need(found && found->type == EFI_BOOT_SERVICES_DATA);
	for (u64 page = top - STACK_SIZE; page < top; page += WBM_PAGE) {
		volatile u64 *word = (volatile u64 *)page;
		u64 was = *word;

		*word = ~was;
		wbm_need(*word == ~was);
		*word = was;
	}
	return EFI_SUCCESS;
}

static bool is_sealed(const struct efi_table_header *table)
{
	static u8 copy[TABLE_MAX];

	if (table->header_size < sizeof(*table) || table->header_size > sizeof(copy))
		return false;
	memcpy(copy, table, table->header_size);
	memset(copy + offsetof(struct efi_table_header, crc32), 0, sizeof(u32));
	return pk_crc32(0, copy, table->header_size) == table->crc32;
}

static bool is_behind_shim(void)
{
	void *loader;

	return !EFI_ERROR(wbm.bs->locate_protocol(&efi_guid_shim_image_loader, NULL, &loader));
}

/*
 * shim 16 and later puts services of its own into the table, LoadImage to UnloadImage, and does
 * not seal it again (loader-proto.c of rhboot/shim).
 */
static bool may_be_shims(const u64 *pointer)
{
	return pointer >= (const u64 *)&wbm.bs->load_image && pointer <= (const u64 *)&wbm.bs->unload_image &&
	       is_behind_shim();
}

static bool is_code(const struct efi_memory_descriptor *found, const u64 *pointer, u32 type, u32 other_type)
{
	return found && (found->type == type || found->type == other_type ||
			 (found->type == EFI_LOADER_CODE && may_be_shims(pointer)));
}

/* Do all pointers of a table lead into the firmware's code? */
static bool leads_into(const struct efi_table_header *table, u32 type, u32 other_type)
{
	const u64 *pointers = (const u64 *)(table + 1);
	u64 nr = (table->header_size - sizeof(*table)) / sizeof(u64);

	for (u64 i = 0; i < nr; i++) {
		const struct efi_memory_descriptor *found = wbm_descriptor(&wbm.map, pointers[i]);

		if (pointers[i] && !is_code(found, &pointers[i], type, other_type)) {
			wbm_fact("elsewhere", i, found ? found->type : ~0ULL);
			return false;
		}
	}
	return true;
}

efi_status_t wbm_entry(void)
{
	static u8 early_map[EARLY_MAP_SIZE] __attribute__((aligned(8)));
	efi_tpl_t tpl;

	wbm_try(check_processor());
	tpl = wbm.bs->raise_tpl(EFI_TPL_NOTIFY);
	wbm.bs->restore_tpl(tpl);
	wbm_need(tpl == EFI_TPL_APPLICATION);
	wbm.map = (struct wbm_map){ .data = early_map, .capacity = sizeof(early_map) };
	wbm_try(wbm_read_map(&wbm.map));
	wbm_try(check_stack());
	wbm_need(is_sealed(&wbm.st->hdr));
	wbm_need(is_sealed(&wbm.bs->hdr) || is_behind_shim());
	wbm_need(is_sealed(&wbm.rt->hdr));
	/* EDK II has runtime drivers serve CalculateCrc32 and GetNextMonotonicCount. */
	wbm_need(leads_into(&wbm.bs->hdr, EFI_BOOT_SERVICES_CODE, EFI_RUNTIME_SERVICES_CODE));
	wbm_need(leads_into(&wbm.rt->hdr, EFI_RUNTIME_SERVICES_CODE, EFI_RUNTIME_SERVICES_CODE));
	wbm.early_rt = *wbm.rt;
	return EFI_SUCCESS;
}

/* The text of a path that is nothing but file nodes. */
static bool file_name(const u8 *path, u16 *ret, u32 capacity)
{
	u32 used = 0;

	if (!pk_device_path_is_file(path, PATH_MAX))
		return false;
	for (; path[0] != EFI_DP_END; path += wbm_get16(path + 2)) {
		u32 size = wbm_get16(path + 2) - (u32)sizeof(struct efi_device_path);

		if (used + size / sizeof(u16) >= capacity)
			return false;
		memcpy(ret + used, path + sizeof(struct efi_device_path), size);
		used += size / sizeof(u16);
		/* Nodes may end in a terminator, and need not. */
		while (used && !ret[used - 1])
			used--;
	}
	ret[used] = 0;
	return true;
}

efi_status_t wbm_parameters(void)
{
	static u16 name[NAME_MAX];
	const u8 *device, *whole, *file;
	u64 device_size, file_size;

	wbm_try(wbm.bs->handle_protocol(wbm.image_handle, &efi_guid_loaded_image, (void **)&wbm.image));
	wbm_need(wbm.image->system_table == wbm.st);
	wbm_need(wbm.image->device_handle);
	/* Without a path Windows' boot manager waits for ever. */
	file = (const u8 *)wbm.image->file_path;
	wbm_need(file);
	wbm_need(file_name(file, name, NAME_MAX));
	wbm_report_bytes("name", name, sizeof(OWN_PATH) - sizeof(u16));
	wbm_try(wbm.bs->handle_protocol(wbm.image->device_handle, &efi_guid_device_path, (void **)&device));
	wbm_try(wbm.bs->handle_protocol(wbm.image_handle, &efi_guid_loaded_image_device_path, (void **)&whole));
	device_size = pk_device_path_size(device, PATH_MAX) - sizeof(struct efi_device_path);
	file_size = pk_device_path_size(file, PATH_MAX);
	wbm_need(pk_device_path_size(whole, PATH_MAX) == device_size + file_size);
	wbm_need(!memcmp(whole, device, device_size) && !memcmp(whole + device_size, file, file_size));
	wbm_report_bytes("device", device, device_size);
	wbm_try(wbm_options_init());
	if (wbm_option_is("installer", "1"))
		wbm_need(!memcmp(name, MEDIUM_PATH, sizeof(MEDIUM_PATH)));
	else
		wbm_need(!memcmp(name, OWN_PATH, sizeof(OWN_PATH)));
	wbm_need(wbm_option_is("BCDOBJECT", BCD_OBJECT));
	return EFI_SUCCESS;
}
