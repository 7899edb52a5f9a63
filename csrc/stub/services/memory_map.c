// SPDX-License-Identifier: Apache-2.0
/* Memory as Linux has it, and as the firmware does: what both are told of it. */
#include <common/arena.h>
#include <common/memory_map.h>
#include <stub/gate/hardware.h>
#include <stub/lib/stub.h>
#include <stub/services/memory_map.h>

enum { MAP_CAPACITY = 128 * 1024 };

struct pk_arena pk_linux_arena;
static u8 firmware_map[MAP_CAPACITY] __attribute__((aligned(8)));

u64 pk_arena_peak(void)
{
	return pk_linux_arena.peak_pages * PK_PAGE_SIZE;
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
	u64 size = sizeof(firmware_map), key;
	efi_status_t status;

	status = pk_bs->get_memory_map(&size, firmware_map, &key, ret_step, ret_version);
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
