// SPDX-License-Identifier: Apache-2.0
/* Steps 11 and 12: runtime services where the operating system wants them, and the end by them. */
#include <payload/bootmgr/bootmgr.h>

enum { RUNTIME_ATTRIBUTES = EFI_VARIABLE_NON_VOLATILE | EFI_VARIABLE_BOOTSERVICE_ACCESS | EFI_VARIABLE_RUNTIME_ACCESS };

static u64 virtual_of(u64 physical)
{
	const struct efi_memory_descriptor *found = wbm_descriptor(&wbm.map, physical);

	return found && found->attribute & EFI_MEMORY_RUNTIME ?
		       physical - found->physical_start + found->virtual_start : 0;
}

/* Each at the same place within 2 MiB as before, which keeps what large pages mapped. */
static efi_status_t choose_addresses(void)
{
	u64 next = WBM_RUNTIME_VIRTUAL;

	for (u64 at = 0; at < wbm.map.size; at += wbm.map.step) {
		struct efi_memory_descriptor *each = (void *)(wbm.map.data + at);
		u64 size = each->number_of_pages * WBM_PAGE;

		if (!(each->attribute & EFI_MEMORY_RUNTIME))
			continue;
		each->virtual_start = next + each->physical_start % WBM_LARGE_PAGE;
		wbm_need(wbm_map_pages(each->virtual_start, each->physical_start, size));
		next = (each->virtual_start + size + WBM_LARGE_PAGE - 1) & ~(u64)(WBM_LARGE_PAGE - 1);
	}
	return EFI_SUCCESS;
}

/* A variable written, read and deleted, and what room there is. */
static efi_status_t check_services(const struct efi_runtime_services *rt)
{
	static u16 name[] = u"PykexecTest";
	efi_guid_t vendor = efi_guid_windows_boot;
	u64 size = sizeof(u64), value = 0x0123456789abcdef, found = 0, max, remaining, max_size;
	u32 attributes;

	wbm_try(rt->set_variable(name, &vendor, RUNTIME_ATTRIBUTES, sizeof(value), &value));
	wbm_try(rt->get_variable(name, &vendor, &attributes, &size, &found));
	wbm_need(size == sizeof(value) && found == value && attributes == RUNTIME_ATTRIBUTES);
	wbm_try(rt->set_variable(name, &vendor, RUNTIME_ATTRIBUTES, 0, NULL));
	size = sizeof(found);
	wbm_need(rt->get_variable(name, &vendor, &attributes, &size, &found) == EFI_NOT_FOUND);
	wbm_try(rt->query_variable_info(RUNTIME_ATTRIBUTES, &max, &remaining, &max_size));
	wbm_need(remaining <= max && max_size);
	return EFI_SUCCESS;
}

efi_status_t wbm_virtual(void)
{
	struct efi_runtime_services converted = wbm.early_rt;
	struct efi_runtime_services *rt;
	u64 table = (u64)wbm.rt;

	wbm_try(choose_addresses());
	rt = (void *)virtual_of(table);
	wbm_need(rt);
	wbm_try(wbm.rt->set_virtual_address_map(wbm.map.size, wbm.map.step, wbm.map.version, wbm.map.data));
	converted.get_variable = (void *)virtual_of((u64)wbm.early_rt.get_variable);
	converted.set_variable = (void *)virtual_of((u64)wbm.early_rt.set_variable);
	converted.query_variable_info = (void *)virtual_of((u64)wbm.early_rt.query_variable_info);
	converted.set_virtual_address_map = (void *)virtual_of((u64)wbm.early_rt.set_virtual_address_map);
	wbm_need(rt->get_variable == converted.get_variable && rt->set_variable == converted.set_variable);
	wbm_need(converted.set_virtual_address_map(wbm.map.size, wbm.map.step, wbm.map.version, wbm.map.data) ==
		 EFI_UNSUPPORTED);
	wbm_try(check_services(rt));
	wbm_try(check_services(&converted));
	wbm.rt = rt;
	return EFI_SUCCESS;
}

efi_status_t wbm_off(void)
{
	wbm_need(wbm_pattern_is_intact());
	/* Nobody comes back to say it. */
	wbm_end(EFI_SUCCESS);
	wbm.rt->reset_system(EFI_RESET_SHUTDOWN, EFI_SUCCESS, 0, NULL);
	return wbm_failed("ResetSystem", EFI_ABORTED);
}
