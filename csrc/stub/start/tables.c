// SPDX-License-Identifier: Apache-2.0
/*
 * The private system table: Linux sees the firmware through it, the firmware's
 * own tables, handles and memory stay untouched.
 */
#include <common/crc32.h>
#include <common/device_path.h>
#include <common/exit_boot_services.h>
#include <pykexec/bootsvc.h>
#include <stub/doors/bootsvc.h>
#include <stub/doors/runtime.h>
#include <stub/end/leave.h>
#include <stub/gate/gate.h>
#include <stub/gate/state.h>
#include <stub/lib/console.h>
#include <stub/lib/string.h>
#include <stub/lib/stub.h>
#include <stub/start/acpi.h>
#include <stub/start/command_line.h>
#include <stub/start/memory.h>
#include <stub/start/sections.h>
#include <stub/start/tables.h>

enum { TABLES_MAX = 128 };

static struct efi_system_table system_table;
static struct efi_boot_services boot_services;
static struct efi_runtime_services runtime_services;
static struct efi_configuration_table tables[TABLES_MAX];
static struct efi_loaded_image *linux_image;
static struct efi_load_file2 initrd_loader;
static bool exited;

efi_handle_t pk_linux_handle(void)
{
	return &system_table;
}

/* A table of which something was changed, or that is shorter than the firmware's own (4.2). */
static void seal(struct efi_table_header *table, u32 size)
{
	if (table->header_size > size)
		table->header_size = size;
	table->crc32 = 0;
	table->crc32 = pk_crc32(0, table, table->header_size);
}

static efi_status_t EFIAPI load_initrd(struct efi_load_file2 *this, struct efi_device_path *path, u8 boot_policy,
				       u64 *size, void *buffer)
{
	u64 capacity = *size;

	(void)this;
	(void)path;
	if (boot_policy)
		return EFI_UNSUPPORTED;
	*size = pk_sections.initrd.size;
	if (!buffer || capacity < *size)
		return EFI_BUFFER_TOO_SMALL;
	memcpy(buffer, (void *)pk_sections.initrd.start, *size);
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI handle_protocol(efi_handle_t handle, const efi_guid_t *protocol, void **interface)
{
	if (handle == pk_linux_handle()) {
		if (!pk_guid_equal(protocol, &efi_guid_loaded_image))
			return EFI_UNSUPPORTED;
		*interface = linux_image;
		return EFI_SUCCESS;
	}
	if (handle == &initrd_loader) {
		if (!pk_guid_equal(protocol, &efi_guid_load_file2))
			return EFI_UNSUPPORTED;
		*interface = &initrd_loader;
		return EFI_SUCCESS;
	}
	return pk_bs->handle_protocol(handle, protocol, interface);
}

static efi_status_t EFIAPI locate_device_path(const efi_guid_t *protocol, struct efi_device_path **path,
					      efi_handle_t *handle)
{
	/* Linux' own constant path: a vendor node and an end node. */
	if (pk_guid_equal(protocol, &efi_guid_load_file2) && pk_device_path_is_initrd(*path, 24)) {
		if (!pk_sections.initrd.size)
			return EFI_NOT_FOUND;
		*path = (void *)((u8 *)*path + (*path)->length[0]);
		*handle = &initrd_loader;
		return EFI_SUCCESS;
	}
	return pk_bs->locate_device_path(protocol, path, handle);
}

/* Linux would make our resident memory W^X through it. */
static efi_status_t EFIAPI locate_protocol(const efi_guid_t *protocol, void *registration, void **interface)
{
	if (pk_guid_equal(protocol, &efi_guid_memory_attribute))
		return EFI_NOT_FOUND;
	return pk_bs->locate_protocol(protocol, registration, interface);
}

static efi_status_t EFIAPI install_configuration_table(const efi_guid_t *vendor, void *table)
{
	u64 i;

	for (i = 0; i < system_table.nr_tables; i++)
		if (pk_guid_equal(&tables[i].vendor_guid, vendor))
			break;
	if (!table) {
		if (i == system_table.nr_tables)
			return EFI_NOT_FOUND;
		tables[i] = tables[--system_table.nr_tables];
	} else {
		if (i == TABLES_MAX)
			return EFI_OUT_OF_RESOURCES;
		tables[i] = (struct efi_configuration_table){ *vendor, table };
		if (i == system_table.nr_tables)
			system_table.nr_tables++;
	}
	seal(&system_table.hdr, sizeof(system_table));
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI exit_boot_services(efi_handle_t image, u64 key)
{
	struct pk_exit_request request = {
		.ours = image == pk_linux_handle(),
		.already_exited = exited,
		.map_key = key,
		.current_key = pk_arena_map_key(),
	};
	efi_status_t status = pk_exit_boot_services_decide(&request);

	if (!EFI_ERROR(status)) {
		status = pk_command_line_finish();
		if (EFI_ERROR(status))
			pk_print("pykexec: this kernel has no copy of its command line\n");
	}
	if (EFI_ERROR(status)) {
		pk_stage(PK_STAGE_EXIT_BS, status);
		return status;
	}
	exited = true;
	/* Not before: Linux' EFI stub calls the firmware's runtime services in the firmware's world. */
	pk_runtime_fill(&runtime_services);
	seal(&runtime_services.hdr, sizeof(runtime_services));
	pk_stage(PK_STAGE_EXIT_BS, EFI_SUCCESS);
	pk_state_quiesce();
	return EFI_SUCCESS;
}

/* Linux' EFI stub gives up: unwind to where it was entered. Interrupts are still the firmware's. */
static efi_status_t EFIAPI exit_image(efi_handle_t image, efi_status_t status, u64 size, efi_char16_t *data)
{
	(void)size;
	(void)data;
	if (image != pk_linux_handle())
		return EFI_INVALID_PARAMETER;
	pk_stage(PK_STAGE_LINUX, EFI_ERROR(status) ? status : EFI_ABORTED);
	pk_leave_give_up();
	pk_state_quiesce();
	pk_resume_entry(&pk_handoff, 0);
}

static bool hidden(const efi_guid_t *vendor)
{
	return pk_guid_equal(vendor, &efi_guid_dxe_services_table) ||
	       pk_guid_equal(vendor, &efi_guid_memory_attributes_table) ||
	       pk_guid_equal(vendor, &efi_guid_rt_properties_table) ||
	       pk_guid_equal(vendor, &efi_guid_acpi10_table) || pk_guid_equal(vendor, &efi_guid_acpi20_table);
}

struct efi_system_table *pk_private_tables(struct efi_loaded_image *image)
{
	linux_image = image;
	exited = false;
	initrd_loader.load_file = load_initrd;

	boot_services = *pk_bs;
	boot_services.handle_protocol = handle_protocol;
	boot_services.locate_device_path = locate_device_path;
	boot_services.locate_protocol = locate_protocol;
	boot_services.install_configuration_table = install_configuration_table;
	boot_services.exit_boot_services = exit_boot_services;
	boot_services.exit = exit_image;
	pk_arena_hook(&boot_services);
	seal(&boot_services.hdr, sizeof(boot_services));

	runtime_services = *pk_st->runtime;
	seal(&runtime_services.hdr, sizeof(runtime_services));
	system_table = *pk_st;
	system_table.boot = &boot_services;
	system_table.runtime = &runtime_services;
	system_table.tables = tables;
	system_table.nr_tables = 0;
	for (u64 i = 0; i < pk_st->nr_tables && system_table.nr_tables < TABLES_MAX - 8; i++)
		if (!hidden(&pk_st->tables[i].vendor_guid))
			tables[system_table.nr_tables++] = pk_st->tables[i];
	install_configuration_table(&efi_guid_acpi20_table, pk_acpi_rsdp());
	install_configuration_table(&efi_guid_pykexec_handoff, &pk_handoff);
	install_configuration_table(&efi_guid_linux_bootsvc_table, pk_bootsvc_table());
	return &system_table;
}
