// SPDX-License-Identifier: Apache-2.0
/* The world's boot and runtime services, as far as the stub calls them while Linux runs. */
#include <efi/guids.h>

#include "../fuzz.h"
#include "devices.h"

enum { NVRAM_SIZE = 65536 };

static u64 variables_left;

u64 world_variables_left(void)
{
	return variables_left;
}

/* On a handle of its own. */
static struct efi_ram_disk ram_disk;

static efi_status_t EFIAPI locate_handle_buffer(u32 type, const efi_guid_t *protocol, void *key, u64 *nr,
						efi_handle_t **handles)
{
	struct device *device;

	(void)key;
	world_returns();
	*nr = 0;
	*handles = memory_take(NR_DEVICES * sizeof(**handles), 8);
	if (!*handles)
		return EFI_OUT_OF_RESOURCES;
	if (type == EFI_BY_PROTOCOL && !memcmp(protocol, &efi_guid_ram_disk, sizeof(*protocol)))
		(*handles)[(*nr)++] = &ram_disk;
	for (u32 i = 0; (device = devices_at(i)); i++)
		if (type == EFI_ALL_HANDLES || devices_interface(device, protocol))
			(*handles)[(*nr)++] = device;
	if (*nr)
		return EFI_SUCCESS;
	memory_give(*handles);
	return EFI_NOT_FOUND;
}

/* As firmware of some years ago: the handle is believed to be one. */
static efi_status_t EFIAPI handle_protocol(efi_handle_t handle, const efi_guid_t *protocol, void **interface)
{
	efi_status_t status = EFI_UNSUPPORTED;
	void *found;

	world_returns();
	found = console_interface(handle, protocol);
	if (!found)
		found = handle == &ram_disk ? &ram_disk : devices_interface(handle, protocol);
	if (found) {
		*interface = found;
		status = EFI_SUCCESS;
	}
	return status;
}

static efi_status_t EFIAPI protocols_per_handle(efi_handle_t handle, efi_guid_t ***guids, u64 *nr)
{
	static const efi_guid_t *const known[] = { &efi_guid_device_path, &efi_guid_block_io,
						   &efi_guid_simple_network };

	world_returns();
	*nr = 0;
	*guids = memory_take(sizeof(known), 8);
	if (!*guids)
		return EFI_OUT_OF_RESOURCES;
	for (u32 i = 0; i < 3; i++)
		if (devices_interface(handle, known[i]))
			(*guids)[(*nr)++] = (efi_guid_t *)known[i];
	return EFI_SUCCESS;
}

static u64 path_size(const u8 *path)
{
	u64 size = 0;

	while (path[size] != EFI_DP_END)
		size += path[size + 2];
	return size;
}

static efi_status_t EFIAPI locate_device_path(const efi_guid_t *protocol, struct efi_device_path **path,
					      efi_handle_t *handle)
{
	struct device *device;
	u64 size = path_size((const u8 *)*path);

	world_returns();
	for (u32 i = 0; (device = devices_at(i)); i++) {
		const u8 *own = devices_interface(device, &efi_guid_device_path);

		if (devices_interface(device, protocol) && own && path_size(own) == size && !memcmp(own, *path, size)) {
			*path = (void *)((u8 *)*path + size);
			*handle = device;
			return EFI_SUCCESS;
		}
	}
	return EFI_NOT_FOUND;
}

static efi_status_t EFIAPI reinstall(efi_handle_t handle, const efi_guid_t *protocol, void *old, void *new)
{
	struct device *device = devices_valid(handle);

	if (!device || devices_interface(device, protocol) != old)
		return EFI_NOT_FOUND;
	FUZZ_CHECK(old == new);
	/* Nobody may tell drivers that a disk has changed which nobody wrote to. */
	FUZZ_CHECK(device->written);
	device->written = false;
	devices_drop_partitions(device);
	devices_installed(device, protocol);
	if (device->kind == WORLD_CDROM)
		devices_find_partitions(device);
	world_returns();
	return EFI_SUCCESS;
}

/* The stub installs no more than a path and Block I/O on a handle of its own. */
static efi_status_t EFIAPI install(efi_handle_t *handle, const efi_guid_t *protocol, u32 type, void *interface)
{
	struct device *device = *handle ? devices_valid(*handle) : devices_plug(WORLD_OWN_DISK, 0, 0, 0);
	bool is_path = !memcmp(protocol, &efi_guid_device_path, sizeof(*protocol));

	FUZZ_CHECK(type == EFI_NATIVE_INTERFACE && interface);
	if (!device)
		return EFI_OUT_OF_RESOURCES;
	FUZZ_CHECK(device->kind == WORLD_OWN_DISK && !devices_interface(device, protocol));
	if (is_path)
		device->own_path = interface;
	else
		device->own_block = interface;
	*handle = device;
	devices_installed(device, protocol);
	world_returns();
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI uninstall(efi_handle_t handle, const efi_guid_t *protocol, void *interface)
{
	struct device *device = devices_valid(handle);

	FUZZ_CHECK(device && device->kind == WORLD_OWN_DISK && devices_interface(device, protocol) == interface);
	if (device->stuck)
		return EFI_ACCESS_DENIED;
	if (interface == device->own_path)
		device->own_path = NULL;
	else
		device->own_block = NULL;
	if (!device->own_path && !device->own_block)
		devices_unplug(device);
	world_returns();
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI connect(efi_handle_t handle, efi_handle_t *drivers, struct efi_device_path *rest,
				   u8 recursive)
{
	(void)handle;
	(void)drivers;
	(void)rest;
	(void)recursive;
	world_returns();
	return EFI_NOT_FOUND;
}

static efi_status_t EFIAPI disconnect(efi_handle_t handle, efi_handle_t driver, efi_handle_t child)
{
	struct device *device = devices_valid(handle);

	(void)driver;
	(void)child;
	if (device)
		devices_drop_partitions(device);
	world_returns();
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI open_protocol(efi_handle_t handle, const efi_guid_t *protocol, void **interface,
					 efi_handle_t agent, efi_handle_t controller, u32 attributes)
{
	struct device *device = devices_valid(handle);

	(void)agent;
	(void)controller;
	(void)attributes;
	if (!device || !devices_interface(device, protocol))
		return EFI_UNSUPPORTED;
	*interface = devices_interface(device, protocol);
	world_returns();
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI close_protocol(efi_handle_t handle, const efi_guid_t *protocol, efi_handle_t agent,
					  efi_handle_t controller)
{
	struct device *device = devices_valid(handle);

	(void)protocol;
	(void)agent;
	(void)controller;
	if (!device)
		return EFI_INVALID_PARAMETER;
	world_returns();
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI open_protocol_information(efi_handle_t handle, const efi_guid_t *protocol, void **ret,
						     u64 *nr)
{
	(void)handle;
	(void)protocol;
	(void)ret;
	(void)nr;
	world_returns();
	return EFI_NOT_FOUND;
}

static efi_status_t EFIAPI register_disk(u64 start, u64 size, const efi_guid_t *type,
					 struct efi_device_path *parent, struct efi_device_path **ret)
{
	struct device *device;

	(void)type;
	(void)parent;
	FUZZ_CHECK(world_owns(start, size));
	device = devices_plug(WORLD_RAM_DISK, 0, start, size);
	if (!device)
		return EFI_OUT_OF_RESOURCES;
	*ret = (void *)device->path;
	return EFI_SUCCESS;
}

/* EDK II's frees the disk at once. */
static efi_status_t EFIAPI unregister(struct efi_device_path *path)
{
	struct efi_device_path *rest = path;
	efi_handle_t handle;

	if (EFI_ERROR(locate_device_path(&efi_guid_block_io, &rest, &handle)))
		return EFI_NOT_FOUND;
	if (((struct device *)handle)->stuck)
		return EFI_ACCESS_DENIED;
	devices_unplug(handle);
	world_returns();
	return EFI_SUCCESS;
}

static struct efi_ram_disk ram_disk = { .register_disk = register_disk, .unregister = unregister };

static efi_status_t EFIAPI locate_protocol(const efi_guid_t *protocol, void *registration, void **interface)
{
	(void)registration;
	if (memcmp(protocol, &efi_guid_ram_disk, sizeof(*protocol)))
		return EFI_NOT_FOUND;
	*interface = &ram_disk;
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI get_memory_map(u64 *size, void *map, u64 *key, u64 *step, u32 *version)
{
	(void)size;
	(void)map;
	(void)key;
	(void)step;
	(void)version;
	return EFI_UNSUPPORTED;
}

static struct efi_boot_services boot = {
	.hdr.header_size = sizeof(boot),
	.get_memory_map = get_memory_map,
	.locate_device_path = locate_device_path,
	.handle_protocol = handle_protocol,
	.connect_controller = connect,
	.disconnect_controller = disconnect,
	.open_protocol = open_protocol,
	.close_protocol = close_protocol,
	.open_protocol_information = open_protocol_information,
	.protocols_per_handle = protocols_per_handle,
	.locate_handle_buffer = locate_handle_buffer,
	.locate_protocol = locate_protocol,
	.install_protocol_interface = install,
	.reinstall_protocol_interface = reinstall,
	.uninstall_protocol_interface = uninstall,
};

static efi_status_t EFIAPI get_variable(efi_char16_t *name, efi_guid_t *vendor, u32 *attributes, u64 *size,
					void *data)
{
	(void)name;
	(void)vendor;
	(void)attributes;
	(void)size;
	(void)data;
	world_returns();
	return EFI_NOT_FOUND;
}

static efi_status_t EFIAPI get_next(u64 *size, efi_char16_t *name, efi_guid_t *vendor)
{
	(void)size;
	(void)name;
	(void)vendor;
	world_returns();
	return EFI_NOT_FOUND;
}

static efi_status_t EFIAPI set_variable(efi_char16_t *name, efi_guid_t *vendor, u32 attributes, u64 size, void *data)
{
	(void)name;
	(void)vendor;
	(void)attributes;
	(void)data;
	world_returns();
	if (size > variables_left)
		return EFI_OUT_OF_RESOURCES;
	variables_left -= size;
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI query(u32 attributes, u64 *max, u64 *remaining, u64 *max_size)
{
	(void)attributes;
	*max = NVRAM_SIZE;
	*remaining = variables_left;
	*max_size = NVRAM_SIZE / 2;
	world_returns();
	return EFI_SUCCESS;
}

static struct efi_runtime_services runtime = {
	.hdr.header_size = sizeof(runtime),
	.get_variable = get_variable,
	.get_next_variable_name = get_next,
	.set_variable = set_variable,
	.query_variable_info = query,
};

static struct efi_system_table system_table = {
	.hdr.header_size = sizeof(system_table),
	.boot = &boot,
	.runtime = &runtime,
};

static bool is_zero(const u8 *bytes, u64 size)
{
	for (u64 i = 0; i < size; i++)
		if (bytes[i])
			return false;
	return true;
}

/* As its driver would read it. */
static bool own_disk_is_empty(struct efi_block_io *block)
{
	u8 buffer[512];

	for (u64 lba = 0; lba <= block->media->last_block; lba++) {
		FUZZ_CHECK(block->read_blocks(block, block->media->media_id, lba, sizeof(buffer), buffer) ==
			   EFI_SUCCESS);
		if (!is_zero(buffer, sizeof(buffer)))
			return false;
	}
	return true;
}

bool world_disks_are_empty(void)
{
	struct device *device;

	for (u32 n = 0; (device = devices_at(n)); n++) {
		if (device->kind == WORLD_RAM_DISK && !is_zero((const u8 *)device->start, device->size))
			return false;
		if (device->kind == WORLD_OWN_DISK && !own_disk_is_empty(device->own_block))
			return false;
	}
	return true;
}

bool world_has_own_disks(void)
{
	struct device *device;

	for (u32 n = 0; (device = devices_at(n)); n++)
		if (device->kind == WORLD_OWN_DISK)
			return true;
	return false;
}

struct efi_system_table *world_reset(void)
{
	time_reset();
	time_fill(&boot);
	memory_fill(&boot);
	variables_left = NVRAM_SIZE;
	devices_reset();
	console_fill(&system_table);
	return &system_table;
}
