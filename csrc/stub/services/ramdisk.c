// SPDX-License-Identifier: Apache-2.0
/*
 * RAM disks that Linux fills and the firmware shows to payloads, in one of two shapes: through
 * EFI_RAM_DISK_PROTOCOL (UEFI 2.10, 13.17), or on a handle of our own.
 */
#include <common/device_path.h>
#include <stub/lib/string.h>
#include <stub/lib/stub.h>
#include <stub/lib/test.h>
#include <stub/services/block_disk.h>
#include <stub/services/identity.h>
#include <stub/services/nfit.h>
#include <stub/services/ramdisk.h>

enum {
	RAMDISKS_MAX	= 16,
	BLOCK_SIZE	= PK_BLOCK_DISK_BLOCK_SIZE,
	PATH_SIZE	= 64,		/* one RAM disk node (10.3.5.9) and an end node take 42 */
	/* The firmware must go on without what a disk took, and load a payload. */
	RESERVE_PAGES	= 32 * 1024 * 1024 / PK_PAGE_SIZE,
};

#define SIZE_MAX_BYTES (1ULL << 46)

struct ramdisk {
	u32 number;	/* 0: free */
	u32 flags;	/* enum pk_ramdisk_flags */
	u64 start;
	u64 size;
	efi_guid_t type;
	u8 path[PATH_SIZE] __attribute__((aligned(8)));
	struct pk_block_disk block;	/* of a PK_RAMDISK_BLOCK */
};

static struct ramdisk ramdisks[RAMDISKS_MAX];
static u32 last_number;		/* never given out twice */
static efi_event_t exit_event;

static u64 nr_pages(const struct ramdisk *disk)
{
	return (disk->size + PK_PAGE_SIZE - 1) / PK_PAGE_SIZE;
}

static bool wipe(const struct ramdisk *disk)
{
	memset((void *)disk->start, 0, nr_pages(disk) * PK_PAGE_SIZE);
	return true;
}

/* What the payload's operating system must not see it does not find in free memory either. */
static void EFIAPI wipe_at_exit(efi_event_t event, void *context)
{
	(void)event;
	(void)context;
	for (u32 i = 0; i < RAMDISKS_MAX; i++)
		if (ramdisks[i].number && !(ramdisks[i].flags & PK_RAMDISK_PERSIST))
			pk_test_exit_wipe(ramdisks[i].flags & PK_RAMDISK_BLOCK, wipe(&ramdisks[i]));
}

static struct ramdisk *find(u32 number)
{
	for (u32 i = 0; number && i < RAMDISKS_MAX; i++)
		if (ramdisks[i].number == number)
			return &ramdisks[i];
	return NULL;
}

static struct ramdisk *find_free(void)
{
	for (u32 i = 0; i < RAMDISKS_MAX; i++)
		if (!ramdisks[i].number)
			return &ramdisks[i];
	return NULL;
}

/* The firmware's handle for the disk, NULL when it has none. */
static efi_handle_t handle_of(const struct ramdisk *disk)
{
	struct efi_device_path *rest = (void *)disk->path;
	efi_handle_t handle;

	if (!(disk->flags & PK_RAMDISK_REGISTERED) ||
	    EFI_ERROR(pk_bs->locate_device_path(&efi_guid_block_io, &rest, &handle)))
		return NULL;
	/* The firmware returns the longest match: only a whole one is the disk. */
	return rest->type == EFI_DP_END ? handle : NULL;
}

static void describe(const struct ramdisk *disk, struct pk_ramdisk_entry *ret)
{
	efi_tpl_t tpl = pk_handles_hold();
	u32 handle = pk_handle_number(handle_of(disk), disk->path);

	pk_handles_release(tpl);
	*ret = (struct pk_ramdisk_entry){
		.ramdisk = disk->number,
		.handle = handle,
		.size = disk->size,
		.flags = disk->flags,
	};
	memcpy(ret->type, &disk->type, sizeof(ret->type));
}

static efi_status_t answer(struct pk_call *call, const struct ramdisk *disk)
{
	struct pk_ramdisk_entry entry;

	describe(disk, &entry);
	return pk_answer(call, &entry, sizeof(entry));
}

static struct ramdisk *find_named(const struct pk_call *call)
{
	const struct pk_ramdisk_number *request = call->body;

	return find(request->ramdisk);
}

static bool type_known(const void *type)
{
	return pk_guid_equal(type, &efi_guid_virtual_disk) || pk_guid_equal(type, &efi_guid_virtual_cd) ||
	       pk_guid_equal(type, &efi_guid_persistent_virtual_disk) ||
	       pk_guid_equal(type, &efi_guid_persistent_virtual_cd);
}

/* Is it one of the disks that we can make? */
static bool is_sound(const struct pk_ramdisk_request *request)
{
	u32 known = request->flags & PK_RAMDISK_BLOCK ? PK_RAMDISK_BLOCK | PK_RAMDISK_REMOVABLE : PK_RAMDISK_PERSIST;

	return request->size && request->size % BLOCK_SIZE == 0 && !(request->flags & ~known) &&
	       type_known(request->type) &&
	       (!(request->flags & PK_RAMDISK_BLOCK) || pk_guid_equal(request->type, &efi_guid_virtual_disk));
}

static efi_status_t allocate(u32 memory_type, u64 pages, u64 *ret)
{
	u64 start, reserve;
	efi_status_t status;

	status = pk_bs->allocate_pages(EFI_ALLOCATE_ANY_PAGES, memory_type, pages, &start);
	if (EFI_ERROR(status))
		return status;
	status = pk_bs->allocate_pages(EFI_ALLOCATE_ANY_PAGES, EFI_LOADER_DATA, RESERVE_PAGES, &reserve);
	if (EFI_ERROR(status)) {
		pk_bs->free_pages(start, pages);
		return status;
	}
	pk_bs->free_pages(reserve, RESERVE_PAGES);
	*ret = start;
	return EFI_SUCCESS;
}

efi_status_t pk_ramdisk_create(struct pk_call *call)
{
	const struct pk_ramdisk_request *request = call->body;
	struct ramdisk *disk = find_free();
	struct ramdisk candidate;
	efi_status_t status;

	if (!is_sound(request))
		return EFI_INVALID_PARAMETER;
	if (!disk || request->size > SIZE_MAX_BYTES)
		return EFI_OUT_OF_RESOURCES;
	if (call->capacity < sizeof(struct pk_ramdisk_entry))
		return EFI_BUFFER_TOO_SMALL;
	if (!exit_event) {
		status = pk_bs->create_event(EFI_EVT_SIGNAL_EXIT_BOOT_SERVICES, EFI_TPL_CALLBACK, wipe_at_exit, NULL,
					     &exit_event);
		if (EFI_ERROR(status))
			return status;
	}
	candidate = (struct ramdisk){ .flags = request->flags, .size = request->size };
	memcpy(&candidate.type, request->type, sizeof(candidate.type));
	/* An operating system takes boot services' memory for its own; reserved memory it leaves alone. */
	status = allocate(request->flags & PK_RAMDISK_PERSIST ? EFI_RESERVED_MEMORY_TYPE : EFI_BOOT_SERVICES_DATA,
			  nr_pages(&candidate), &candidate.start);
	if (EFI_ERROR(status))
		return status;
	/* What the firmware had there before is nothing for root. */
	wipe(&candidate);
	candidate.number = ++last_number;
	*disk = candidate;
	return answer(call, disk);
}

efi_status_t pk_ramdisk_data(struct pk_call *call)
{
	const struct pk_ramdisk_data *chunk = call->body;
	const struct ramdisk *disk = find(chunk->ramdisk);
	u64 size = call->size - sizeof(*chunk);

	if (!disk)
		return EFI_NOT_FOUND;
	/* The firmware may have read it by now: who wants to change a disk writes to the disk. */
	if (disk->flags & PK_RAMDISK_REGISTERED)
		return EFI_ACCESS_DENIED;
	if (chunk->offset > disk->size || size > disk->size - chunk->offset)
		return EFI_INVALID_PARAMETER;
	memcpy((void *)(disk->start + chunk->offset), chunk + 1, size);
	/* It may be a key: the mailbox outlives the disk. */
	memset((void *)(chunk + 1), 0, size);
	return EFI_SUCCESS;
}

static efi_status_t register_block(struct ramdisk *disk)
{
	efi_status_t status;

	status = pk_block_disk_install(&disk->block, disk->start, disk->size, disk->number,
				       disk->flags & PK_RAMDISK_REMOVABLE);
	if (!EFI_ERROR(status))
		memcpy(disk->path, &disk->block.path, sizeof(disk->block.path));
	return status;
}

static efi_status_t register_ramdisk(struct ramdisk *disk)
{
	struct efi_device_path *path = NULL;
	struct efi_ram_disk *protocol;
	efi_status_t status;
	u64 path_size;

	if (EFI_ERROR(pk_bs->locate_protocol(&efi_guid_ram_disk, NULL, (void **)&protocol)))
		return EFI_UNSUPPORTED;
	status = protocol->register_disk(disk->start, disk->size, &disk->type, NULL, &path);
	if (EFI_ERROR(status))
		return status;
	path_size = pk_device_path_size(path, sizeof(disk->path));
	if (!path_size)
		status = EFI_DEVICE_ERROR;
	else if (disk->flags & PK_RAMDISK_PERSIST && !pk_nfit_announces(disk->start, disk->size))
		status = EFI_UNSUPPORTED;
	if (EFI_ERROR(status)) {
		protocol->unregister(path);
		return status;
	}
	memcpy(disk->path, path, path_size);
	return EFI_SUCCESS;
}

efi_status_t pk_ramdisk_register(struct pk_call *call)
{
	struct ramdisk *disk = find_named(call);
	efi_status_t status;

	if (!disk)
		return EFI_NOT_FOUND;
	if (disk->flags & PK_RAMDISK_REGISTERED)
		return EFI_ALREADY_STARTED;
	if (call->capacity < sizeof(struct pk_ramdisk_entry))
		return EFI_BUFFER_TOO_SMALL;
	status = disk->flags & PK_RAMDISK_BLOCK ? register_block(disk) : register_ramdisk(disk);
	if (EFI_ERROR(status))
		return status;
	disk->flags |= PK_RAMDISK_REGISTERED;
	return answer(call, disk);
}

/* Does a driver still hold the disk, as one that refuses to stop does? */
static bool is_driven(efi_handle_t handle)
{
	struct efi_open_protocol_information *openers;
	bool driven = false;
	u64 nr_openers;

	if (EFI_ERROR(pk_bs->open_protocol_information(handle, &efi_guid_block_io, (void **)&openers, &nr_openers)))
		return false;
	for (u64 i = 0; i < nr_openers; i++)
		if (openers[i].attributes & (EFI_OPEN_PROTOCOL_BY_DRIVER | EFI_OPEN_PROTOCOL_EXCLUSIVE))
			driven = true;
	pk_bs->free_pool(openers);
	return driven;
}

/* Whoever registered the disk knows it; there may be several who offer to. */
static efi_status_t unregister(struct ramdisk *disk)
{
	efi_status_t status = EFI_NOT_FOUND;
	struct efi_ram_disk *protocol;
	efi_handle_t *handles;
	u64 nr_handles;

	if (EFI_ERROR(pk_bs->locate_handle_buffer(EFI_BY_PROTOCOL, &efi_guid_ram_disk, NULL, &nr_handles, &handles)))
		return EFI_UNSUPPORTED;
	for (u64 i = 0; i < nr_handles && EFI_ERROR(status); i++)
		if (!EFI_ERROR(pk_bs->handle_protocol(handles[i], &efi_guid_ram_disk, (void **)&protocol)))
			status = protocol->unregister((void *)disk->path);
	pk_bs->free_pool(handles);
	return status;
}

/* EDK II's Unregister frees what a driver that will not let go still uses: nobody may, before it is called. */
static efi_status_t withdraw(struct ramdisk *disk)
{
	efi_handle_t handle = handle_of(disk);
	efi_status_t status;

	if (!handle)
		return EFI_SUCCESS;
	pk_bs->disconnect_controller(handle, NULL, NULL);
	handle = handle_of(disk);
	if (handle && is_driven(handle))
		status = EFI_ACCESS_DENIED;
	else
		status = disk->flags & PK_RAMDISK_BLOCK ? pk_block_disk_uninstall(&disk->block) : unregister(disk);
	if (!EFI_ERROR(status) && handle_of(disk))
		status = EFI_DEVICE_ERROR;
	handle = handle_of(disk);
	if (EFI_ERROR(status) && handle)
		pk_bs->connect_controller(handle, NULL, NULL, true);
	return status;
}

static efi_status_t remove(struct ramdisk *disk)
{
	efi_status_t status;

	status = withdraw(disk);
	if (EFI_ERROR(status))
		return status;
	wipe(disk);
	pk_bs->free_pages(disk->start, nr_pages(disk));
	*disk = (struct ramdisk){ 0 };
	return EFI_SUCCESS;
}

efi_status_t pk_ramdisk_remove(struct pk_call *call)
{
	struct ramdisk *disk = find_named(call);

	return disk ? remove(disk) : EFI_NOT_FOUND;
}

efi_status_t pk_ramdisk_list(struct pk_call *call)
{
	struct pk_ramdisk_entry *entries = call->answer;
	u32 n = 0;

	if (call->capacity < RAMDISKS_MAX * sizeof(*entries))
		return EFI_BUFFER_TOO_SMALL;
	for (u32 i = 0; i < RAMDISKS_MAX; i++)
		if (ramdisks[i].number)
			describe(&ramdisks[i], &entries[n++]);
	call->answered = n * sizeof(*entries);
	return EFI_SUCCESS;
}

efi_status_t pk_ramdisk_release(void)
{
	efi_status_t status = EFI_SUCCESS;

	/* What a driver does not let go of stays a disk, whose contents nobody is left to wipe later. */
	for (u32 i = 0; i < RAMDISKS_MAX; i++) {
		if (!ramdisks[i].number || !EFI_ERROR(remove(&ramdisks[i])))
			continue;
		pk_test_ramdisk_wipe(wipe(&ramdisks[i]));
		if (ramdisks[i].flags & PK_RAMDISK_BLOCK)
			status = pk_test_held(EFI_ACCESS_DENIED);
	}
	if (exit_event)
		pk_bs->close_event(exit_event);
	exit_event = NULL;
	return status;
}
