// SPDX-License-Identifier: Apache-2.0
/*
 * RAM disks of both shapes, as the stub makes them in a firmware that is simulated here: a disk of
 * each is filled, served, and meets its end. Arguments: what a driver does with the second one (lets
 * go, holds), and how they end (exit, remove, release). Prints what a payload finds, "name value".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <common/device_path.h>
#include <stub/lib/call.h>
#include <stub/lib/stub.h>
#include <stub/services/identity.h>
#include <stub/services/nfit.h>
#include <stub/services/ramdisk.h>

enum { NR_DISKS = 2, SIZE = 3 * 512, PATH_SIZE = 64, DIRT = 0xcc, FILLING = 0xab };

struct handle {
	const u8 *path;
	struct efi_block_io *block;
};

struct efi_system_table *pk_st;
struct efi_boot_services *pk_bs;
static struct handle handles[NR_DISKS];
static u32 nr_handles, nr_connected;
static bool held;
static u8 *memory[NR_DISKS];
static u32 nr_memory;
static u64 nr_bytes[NR_DISKS];
static void (EFIAPI *at_exit)(efi_event_t, void *);
static const u8 ramdisk_path[] = { EFI_DP_MEDIA, EFI_DP_MEDIA_RAM_DISK, 4, 0, EFI_DP_END, EFI_DP_END_ENTIRE, 4, 0 };

efi_tpl_t pk_handles_hold(void)
{
	return 4;
}

void pk_handles_release(efi_tpl_t tpl)
{
	(void)tpl;
}

u32 pk_handle_number(efi_handle_t handle, const void *device_path)
{
	(void)device_path;
	return handle ? (u32)((struct handle *)handle - handles) + 100 : 0;
}

bool pk_nfit_announces(u64 start, u64 size)
{
	(void)start;
	(void)size;
	return false;
}

/* The reserve for the payload is not looked at. */
static efi_status_t EFIAPI allocate_pages(u32 type, u32 memory_type, u64 nr_pages, u64 *address)
{
	u8 *pages = aligned_alloc(PK_PAGE_SIZE, nr_pages * PK_PAGE_SIZE);

	(void)type;
	memset(pages, DIRT, nr_pages * PK_PAGE_SIZE);
	*address = (u64)pages;
	if (memory_type != EFI_BOOT_SERVICES_DATA)
		return EFI_SUCCESS;
	nr_bytes[nr_memory] = nr_pages * PK_PAGE_SIZE;
	memory[nr_memory++] = pages;
	return EFI_SUCCESS;
}

static bool is_zero(const u8 *bytes, u64 size)
{
	while (size--)
		if (bytes[size])
			return false;
	return true;
}

static efi_status_t EFIAPI free_pages(u64 address, u64 nr_pages)
{
	for (u32 i = 0; i < nr_memory; i++)
		if (memory[i] == (u8 *)address) {
			printf("freed%u %s\n", i, is_zero(memory[i], nr_pages * PK_PAGE_SIZE) ? "zeros" : "contents");
			memory[i] = NULL;
		}
	free((void *)address);
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI create_event(u32 type, efi_tpl_t tpl, void (EFIAPI *notify)(efi_event_t, void *),
					void *context, efi_event_t *event)
{
	(void)tpl;
	(void)context;
	if (type == EFI_EVT_SIGNAL_EXIT_BOOT_SERVICES)
		at_exit = notify;
	*event = (void *)1;
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI close_event(efi_event_t event)
{
	(void)event;
	at_exit = NULL;
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI install(efi_handle_t *handle, const efi_guid_t *guid, u32 type, void *interface)
{
	(void)type;
	if (!*handle)
		*handle = &handles[nr_handles++];
	if (!memcmp(guid, &efi_guid_block_io, sizeof(*guid)))
		((struct handle *)*handle)->block = interface;
	else
		((struct handle *)*handle)->path = interface;
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI uninstall(efi_handle_t handle, const efi_guid_t *guid, void *interface)
{
	struct handle *at = handle;

	if (held)
		return EFI_ACCESS_DENIED;
	if (!memcmp(guid, &efi_guid_block_io, sizeof(*guid)) && at->block == interface)
		at->block = NULL;
	else if (!memcmp(guid, &efi_guid_device_path, sizeof(*guid)) && at->path == interface)
		at->path = NULL;
	else
		return EFI_NOT_FOUND;
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI locate_device_path(const efi_guid_t *guid, struct efi_device_path **path,
					      efi_handle_t *ret)
{
	u64 size = pk_device_path_size(*path, PATH_SIZE);

	(void)guid;
	for (u32 i = 0; i < nr_handles; i++)
		if (handles[i].block && handles[i].path && pk_device_path_size(handles[i].path, PATH_SIZE) == size &&
		    !memcmp(handles[i].path, *path, size)) {
			*path = (void *)((u8 *)*path + size - sizeof(**path));
			*ret = &handles[i];
			return EFI_SUCCESS;
		}
	return EFI_NOT_FOUND;
}

static efi_status_t EFIAPI connect(efi_handle_t handle, efi_handle_t *drivers, struct efi_device_path *rest,
				   u8 recursive)
{
	(void)handle;
	(void)drivers;
	(void)rest;
	nr_connected += recursive;
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI disconnect(efi_handle_t handle, efi_handle_t driver, efi_handle_t child)
{
	(void)handle;
	(void)driver;
	(void)child;
	return held ? EFI_ACCESS_DENIED : EFI_SUCCESS;
}

static efi_status_t EFIAPI open_information(efi_handle_t handle, const efi_guid_t *guid, void **ret, u64 *ret_nr)
{
	struct efi_open_protocol_information *openers = calloc(1, sizeof(*openers));

	(void)guid;
	openers->attributes = held && handle == &handles[1] ? EFI_OPEN_PROTOCOL_BY_DRIVER : 0;
	*ret = openers;
	*ret_nr = 1;
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI free_pool(void *buffer)
{
	free(buffer);
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI register_disk(u64 start, u64 size, const efi_guid_t *type, struct efi_device_path *parent,
					 struct efi_device_path **ret)
{
	static struct efi_block_io block;

	(void)start;
	(void)size;
	(void)type;
	(void)parent;
	handles[nr_handles++] = (struct handle){ ramdisk_path, &block };
	*ret = (void *)ramdisk_path;
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI unregister(struct efi_device_path *path)
{
	(void)path;
	handles[0] = (struct handle){ 0 };
	return EFI_SUCCESS;
}

static struct efi_ram_disk protocol = { register_disk, unregister };

static efi_status_t EFIAPI locate_protocol(const efi_guid_t *guid, void *registration, void **ret)
{
	(void)guid;
	(void)registration;
	*ret = &protocol;
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI locate_handle_buffer(u32 type, const efi_guid_t *guid, void *key, u64 *nr,
						efi_handle_t **ret)
{
	(void)type;
	(void)guid;
	(void)key;
	*ret = calloc(1, sizeof(**ret));
	*nr = 1;
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI handle_protocol(efi_handle_t handle, const efi_guid_t *guid, void **ret)
{
	(void)handle;
	return locate_protocol(guid, NULL, ret);
}

static struct efi_boot_services boot = {
	.allocate_pages = allocate_pages,
	.free_pages = free_pages,
	.free_pool = free_pool,
	.create_event = create_event,
	.close_event = close_event,
	.install_protocol_interface = install,
	.uninstall_protocol_interface = uninstall,
	.handle_protocol = handle_protocol,
	.locate_device_path = locate_device_path,
	.connect_controller = connect,
	.disconnect_controller = disconnect,
	.open_protocol_information = open_information,
	.locate_handle_buffer = locate_handle_buffer,
	.locate_protocol = locate_protocol,
};

/* ---- what Linux asks for ---- */

static efi_status_t ask(efi_status_t (*operation)(struct pk_call *), const void *body, u64 size)
{
	static u8 room[4096];
	struct pk_call call = { .body = body, .size = size, .answer = room, .capacity = sizeof(room) };

	return operation(&call);
}

static efi_status_t make(u32 number, u32 flags)
{
	struct pk_ramdisk_request request = { .size = SIZE, .flags = flags };
	struct pk_ramdisk_number named = { number, 0 };
	struct {
		struct pk_ramdisk_data head;
		u8 bytes[SIZE];
	} data = { { number, 0, 0 }, { 0 } };
	efi_status_t status;

	memcpy(request.type, &efi_guid_virtual_disk, sizeof(request.type));
	memset(data.bytes, FILLING, sizeof(data.bytes));
	status = ask(pk_ramdisk_create, &request, sizeof(request));
	if (!EFI_ERROR(status))
		status = ask(pk_ramdisk_data, &data, sizeof(data));
	return EFI_ERROR(status) ? status : ask(pk_ramdisk_register, &named, sizeof(named));
}

/* ---- what a payload finds ---- */

static void read_block(const char *name, u32 media_id, u64 lba, u64 size)
{
	u8 *buffer = malloc(size ? size : 1);
	struct efi_block_io *block = handles[1].block;
	efi_status_t status = block->read_blocks(block, media_id, lba, size, buffer);
	u64 good = 0;

	while (good < size && !EFI_ERROR(status) && buffer[good] == FILLING)
		good++;
	printf("%s %#llx:%llu\n", name, (unsigned long long)status, (unsigned long long)good);
	free(buffer);
}

static void look(void)
{
	struct efi_block_io *block = handles[1].block;
	struct efi_block_io_media *media = block->media;
	u8 zeros[512] = { 0 };

	printf("path ");
	for (u64 i = 0; i < pk_device_path_size(handles[1].path, PATH_SIZE); i++)
		printf("%02x", handles[1].path[i]);
	printf("\nmedia removable=%u present=%u logical=%u read_only=%u block=%u last=%llu\n", media->removable_media,
	       media->media_present, media->logical_partition, media->read_only, media->block_size,
	       (unsigned long long)media->last_block);
	printf("connected %u\n", nr_connected);
	read_block("whole", media->media_id, 0, SIZE);
	read_block("last", media->media_id, 2, 512);
	read_block("none", media->media_id, 0, 0);
	read_block("half", media->media_id, 0, 256);
	read_block("beyond", media->media_id, 3, 512);
	read_block("across", media->media_id, 2, 1024);
	read_block("around", media->media_id, ~0ULL, 1024);
	read_block("changed", media->media_id + 1, 0, 512);
	printf("write %#llx\n", (unsigned long long)block->write_blocks(block, media->media_id, 0, 512, zeros));
	read_block("after", media->media_id, 0, SIZE);
	printf("flush %#llx\n", (unsigned long long)block->flush_blocks(block));
	printf("reset %#llx\n", (unsigned long long)block->reset(block, true));
}

static void finish(const char *end)
{
	if (!strcmp(end, "exit"))
		at_exit(NULL, NULL);
	else if (!strcmp(end, "release"))
		printf("released %#llx\n", (unsigned long long)pk_ramdisk_release());
	else
		for (u32 number = NR_DISKS; number; number--) {
			struct pk_ramdisk_number named = { number, 0 };

			printf("removed%u %#llx\n", number - 1,
			       (unsigned long long)ask(pk_ramdisk_remove, &named, sizeof(named)));
		}
	for (u32 i = 0; i < NR_DISKS; i++)
		if (memory[i])
			printf("left%u %s\n", i, is_zero(memory[i], nr_bytes[i]) ? "zeros" : "contents");
	printf("served %u%u\n", !!handles[0].block, !!handles[1].block);
}

int main(int argc, char **argv)
{
	u32 flags;

	if (argc != 4)
		return 2;
	pk_bs = &boot;
	flags = PK_RAMDISK_BLOCK | (strcmp(argv[3], "removable") ? 0 : PK_RAMDISK_REMOVABLE);
	if (EFI_ERROR(make(1, 0)) || EFI_ERROR(make(2, flags)))
		return 3;
	look();
	held = !strcmp(argv[1], "holds");
	finish(argv[2]);
	return 0;
}
