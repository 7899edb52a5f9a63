// SPDX-License-Identifier: Apache-2.0
/* Steps 13 and 10: the memory that hibernation counts on, and the end of boot services. */
#include <payload/bootmgr/bootmgr.h>
#include <stub/lib/io.h>

enum {
	TRIES		= 3,
	PCI_ADDRESS	= 0xcf8,
	PCI_DATA	= 0xcfc,
	PCI_BUSES	= 4,
	PCI_DEVICES	= 32,
	PCI_FUNCTIONS	= 8,
	PCI_COMMAND	= 4,
	PCI_HEADER	= 12,
};

#define PCI_ENABLE 0x80000000U
#define PCI_MULTIFUNCTION 0x800000U

static volatile u32 nr_exits;

static bool stays(const struct efi_memory_descriptor *each)
{
	switch (each->type) {
	case EFI_RESERVED_MEMORY_TYPE:
	case EFI_RUNTIME_SERVICES_CODE:
	case EFI_RUNTIME_SERVICES_DATA:
	case EFI_ACPI_RECLAIM_MEMORY:
	case EFI_ACPI_MEMORY_NVS:
		return true;
	default:
		return each->attribute & EFI_MEMORY_RUNTIME;
	}
}

/* A resumed Windows finds these ranges where they were when it was put to sleep, or does not resume. */
efi_status_t wbm_hibernation(void)
{
	u64 type = ~0ULL, start = 0, end = 0;

	wbm_try(wbm_read_map(&wbm.map));
	for (u64 at = 0; at < wbm.map.size; at += wbm.map.step) {
		const struct efi_memory_descriptor *each = (const void *)(wbm.map.data + at);

		if (!stays(each))
			continue;
		if (each->type != type || each->physical_start != end) {
			if (end)
				wbm_fact("range", type, start, end);
			type = each->type;
			start = each->physical_start;
		}
		end = each->physical_start + each->number_of_pages * WBM_PAGE;
	}
	wbm_fact("range", type, start, end);
	return EFI_SUCCESS;
}

static void EFIAPI count_exit(efi_event_t event, void *context)
{
	(void)event;
	(void)context;
	nr_exits++;
}

/* A key that has become old is refused; afterwards only GetMemoryMap may be called (7.4.6). */
static efi_status_t end_boot_services(void)
{
	efi_status_t status = EFI_INVALID_PARAMETER;
	efi_event_t event;
	u64 address;

	wbm_try(wbm_call(wbm.bs->create_event, EFI_EVT_SIGNAL_EXIT_BOOT_SERVICES, EFI_TPL_CALLBACK, count_exit, NULL,
			 &event));
	wbm_try(wbm_read_map(&wbm.map));
	wbm_try(wbm_call(wbm.bs->allocate_pages, EFI_ALLOCATE_ANY_PAGES, EFI_LOADER_DATA, 1, &address));
	wbm_need(wbm_call(wbm.bs->exit_boot_services, wbm.image_handle, wbm.map.key) == EFI_INVALID_PARAMETER);
	for (u32 i = 0; i < TRIES && status == EFI_INVALID_PARAMETER; i++) {
		wbm_try(wbm_read_map(&wbm.map));
		status = wbm_call(wbm.bs->exit_boot_services, wbm.image_handle, wbm.map.key);
	}
	return status;
}

static u32 pci_read(u32 bus, u32 device, u32 function, u32 offset)
{
	pk_outl(PCI_ADDRESS, PCI_ENABLE | bus << 16 | device << 11 | function << 8 | offset);
	return pk_inl(PCI_DATA);
}

static void report_pci(void)
{
	for (u32 bus = 0; bus < PCI_BUSES; bus++)
		for (u32 device = 0; device < PCI_DEVICES; device++)
			for (u32 function = 0; function < PCI_FUNCTIONS; function++) {
				u32 id = pci_read(bus, device, function, 0);

				if (id == ~0U)
					continue;
				wbm_fact("pci", bus, device, function, id,
					 pci_read(bus, device, function, PCI_COMMAND) & 0xffff);
				if (!function && !(pci_read(bus, device, 0, PCI_HEADER) & PCI_MULTIFUNCTION))
					break;
			}
}

efi_status_t wbm_exit(void)
{
	u64 arena;

	wbm_try(wbm_tpm_cap());
	wbm_try(end_boot_services());
	wbm_need(nr_exits == 1);
	wbm_need(wbm_firmware_kept_its_world());
	wbm_need(wbm_pattern_is_intact());
	if (!wbm_option_is("persist", "1"))
		wbm_need(wbm_key_places_are_zero());
	report_pci();
	/* What Linux had is ours only now. */
	if (wbm_option_number("arena", &arena)) {
		wbm.pattern = arena;
		wbm_fill_pattern();
	}
	return EFI_SUCCESS;
}
