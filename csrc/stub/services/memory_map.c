// SPDX-License-Identifier: Apache-2.0
/* Memory as Linux has it, and as the firmware does: what both are told of it. */
#include <common/arena.h>
#include <common/memory_map.h>
#include <stub/gate/hardware.h>
#include <stub/lib/stub.h>
#include <stub/services/memory_map.h>

enum {
	ROOM = 16 * 1024,	/* the map grows by every allocation, this buffer's too */
	TRIES = 4,
};

struct pk_arena pk_linux_arena;
static u8 *firmware_map;
static u64 map_capacity;

u64 pk_arena_peak(void)
{
	return pk_linux_arena.peak_pages * PK_PAGE_SIZE;
}

void pk_memory_map_release(void)
{
	if (firmware_map)
		pk_bs->free_pages((u64)firmware_map, map_capacity / PK_PAGE_SIZE);
	firmware_map = NULL;
	map_capacity = 0;
}

static efi_status_t make_room(u64 size)
{
	u64 nr_pages = (size + ROOM) / PK_PAGE_SIZE, address;
	efi_status_t status;

	pk_memory_map_release();
	status = pk_bs->allocate_pages(EFI_ALLOCATE_ANY_PAGES, EFI_LOADER_DATA, nr_pages, &address);
	if (EFI_ERROR(status))
		return status;
	firmware_map = (u8 *)address;
	map_capacity = nr_pages * PK_PAGE_SIZE;
	return EFI_SUCCESS;
}

static efi_status_t read_map(u64 *ret_size, u64 *ret_step, u32 *ret_version)
{
	efi_status_t status = EFI_BUFFER_TOO_SMALL;

	for (u32 i = 0; i < TRIES; i++) {
		u64 size = map_capacity, key;

		status = pk_bs->get_memory_map(&size, firmware_map, &key, ret_step, ret_version);
		if (!EFI_ERROR(status))
			*ret_size = size;
		if (status != EFI_BUFFER_TOO_SMALL)
			break;
		status = make_room(size);
		if (EFI_ERROR(status))
			break;
	}
	return status;
}

efi_status_t pk_linux_memory_map(void *out, u64 capacity, u64 *ret_size, u64 *ret_step, u32 *ret_version)
{
	struct pk_map_view view = {
		.arena = &pk_linux_arena,
		.stub = pk_handoff.stub,
		.window = pk_handoff.window,
		/* The gate reaches them from Linux' side. */
		.mmio = { { PK_IOAPIC_BASE, PK_PAGE_SIZE }, { PK_LAPIC_BASE, PK_PAGE_SIZE } },
	};
	efi_status_t status;
	u64 size = 0;

	status = read_map(&size, ret_step, ret_version);
	if (EFI_ERROR(status))
		return status;
	return pk_memory_map_reduce(firmware_map, size, *ret_step, &view, out, capacity, ret_size);
}

efi_status_t pk_memory_map(struct pk_call *call)
{
	const struct pk_memory_map_request *request = call->body;
	struct pk_memory_map_reply *reply = call->answer;
	u64 size, step, key;
	efi_status_t status;
	u32 version;

	if (call->capacity < sizeof(*reply))
		return EFI_BUFFER_TOO_SMALL;
	size = call->capacity - sizeof(*reply);
	if (request->kind == PK_MEMORY_MAP_LINUX)
		status = pk_linux_memory_map(reply + 1, size, &size, &step, &version);
	else if (request->kind == PK_MEMORY_MAP_FIRMWARE)
		status = pk_bs->get_memory_map(&size, reply + 1, &key, &step, &version);
	else
		status = EFI_INVALID_PARAMETER;
	if (EFI_ERROR(status))
		return status;
	*reply = (struct pk_memory_map_reply){ (u32)step, (u32)(size / step) };
	call->answered = sizeof(*reply) + size;
	return EFI_SUCCESS;
}
