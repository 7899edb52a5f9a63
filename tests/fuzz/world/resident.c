// SPDX-License-Identifier: Apache-2.0
/* What the stub's doors, gate and services find below and beside them on the host. */
#include <common/crc32.h>
#include <pykexec/bootsvc.h>
#include <stub/doors/bootsvc.h>
#include <stub/doors/mailbox.h>
#include <stub/doors/runtime.h>
#include <stub/doors/window.h>
#include <stub/end/accident.h>
#include <stub/end/leave.h>
#include <stub/end/secrets.h>
#include <stub/end/staged.h>
#include <stub/gate/faults.h>
#include <stub/gate/gate.h>
#include <stub/gate/hardware.h>
#include <stub/gate/limit.h>
#include <stub/gate/state.h>
#include <stub/lib/boot_device.h>
#include <stub/lib/console.h>
#include <stub/lib/stub.h>
#include <stub/services/block.h>
#include <stub/services/identity.h>
#include <stub/services/image.h>
#include <stub/services/mapped.h>
#include <stub/services/memory_map.h>
#include <stub/services/net.h>
#include <stub/services/net_stack.h>
#include <stub/services/ramdisk.h>
#include <stub/services/services.h>
#include <stub/services/window_memory.h>
#include <stub/start/command_line.h>
#include <stub/start/acpi.h>
#include <stub/start/memory.h>
#include <stub/start/sections.h>
#include <stub/start/tables.h>

#include "../fuzz.h"
#include "resident.h"
#include "world.h"

extern u8 __start_stub_bss[], __stop_stub_bss[], __start_stub_data[], __stop_stub_data[];

struct efi_runtime_services stub_services;
u8 stub_linux_memory[STUB_LINUX_SIZE] __attribute__((aligned(PK_PAGE_SIZE)));
static struct efi_loaded_image loaded_image;
static bool secrets;

/* ---- the gate's assembler, and the state of a machine ---- */

bool pk_has_levels_of(u64 cr4)
{
	(void)cr4;
	return true;
}

u64 pk_world_switch(const struct pk_cpu_context *firmware, struct pk_cpu_context *linux_context,
		    u64 (*function)(void *), void *argument, void *stack_top)
{
	u64 result;

	(void)linux_context;
	(void)stack_top;
	world_enter(firmware->cr8 == pk_handoff.cpu.cr8);
	result = function(argument);
	world_leave();
	return result;
}

void pk_resume_entry(struct pk_handoff *handoff, u64 boot_params)
{
	(void)handoff;
	(void)boot_params;
	__builtin_trap();
}

void pk_state_leave_linux(bool interrupts_were_on, u32 *ret_drained, u32 *ret_eois)
{
	(void)interrupts_were_on;
	*ret_drained = 0;
	*ret_eois = 0;
}

void pk_state_enter_linux(void)
{
}

void pk_state_enter_firmware(void)
{
}

void pk_state_leave_firmware(void)
{
}

void pk_state_enter_lean(void)
{
}

void pk_state_leave_lean(void)
{
}

void pk_faults_guard(struct pk_cpu_context *firmware)
{
	(void)firmware;
}

void pk_faults_follow(bool anew)
{
	(void)anew;
}

void pk_faults_release(void)
{
}

void pk_faults_tell(void)
{
}

void pk_limit_start(void)
{
}

void pk_limit_stop(void)
{
}

void pk_limit_note(u32 operation)
{
	(void)operation;
}

efi_status_t pk_state_report(struct pk_call *call)
{
	(void)call;
	return EFI_SUCCESS;
}

void pk_state_quiesce(void)
{
}

/* ---- how Linux begins and ends is not looked at here ---- */

struct pk_leave pk_leave;
struct pk_accident pk_accident;
struct pk_sections pk_sections;

void *pk_acpi_rsdp(void)
{
	return &loaded_image;
}

void pk_arena_hook(struct efi_boot_services *services)
{
	(void)services;
}

efi_status_t pk_command_line_finish(void)
{
	return EFI_SUCCESS;
}

u64 pk_arena_map_key(void)
{
	return 1;
}

void pk_leave_give_up(void)
{
}

efi_status_t pk_leave_request(struct pk_call *call)
{
	(void)call;
	return EFI_UNSUPPORTED;
}

void pk_leave_reset(u32 type)
{
	(void)type;
}

efi_status_t pk_secrets_announce(struct pk_call *call)
{
	(void)call;
	secrets = true;
	return EFI_SUCCESS;
}

bool pk_secrets_announced(void)
{
	return secrets;
}

efi_status_t pk_payload_stage(struct pk_call *call)
{
	(void)call;
	return EFI_UNSUPPORTED;
}

efi_status_t pk_payload_data(struct pk_call *call)
{
	(void)call;
	return EFI_UNSUPPORTED;
}

efi_status_t pk_payload_lock(struct pk_call *call)
{
	(void)call;
	return EFI_SUCCESS;
}

bool pk_payload_locked(void)
{
	return false;
}

/* An image does as it likes: the firmware's time passes, and it writes a variable. */
efi_status_t pk_image_start(struct pk_call *call)
{
	efi_guid_t vendor = { 0 };

	(void)call;
	for (u32 i = 0; i < 8; i++)
		pk_bs->stall(1000);
	return pk_st->runtime->set_variable((u16 *)u"Image", &vendor, 7, 100, NULL);
}

efi_status_t pk_memory_map(struct pk_call *call)
{
	(void)call;
	return EFI_UNSUPPORTED;
}

u64 pk_mapped_bytes(u64 address, u64 limit)
{
	(void)address;
	return limit;
}

efi_status_t pk_stage(enum pk_stage stage, efi_status_t status)
{
	(void)stage;
	return status;
}

u64 pk_arena_peak(void)
{
	return 0;
}

void pk_print(const char *format, ...)
{
	(void)format;
}

/* ---- its life ---- */

/* Not memcpy(): between its variables the sections are poisoned. */
__attribute__((no_sanitize("address"))) static void copy(u8 *to, const u8 *from, u64 size)
{
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
}

__attribute__((no_sanitize("address"))) static void clear(u8 *to, u64 size)
{
	__asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(0) : "memory");
}

static void reset(void)
{
	static u8 *linked;
	u64 size = (u64)(__stop_stub_data - __start_stub_data);

	if (!linked) {
		linked = malloc(size);
		FUZZ_CHECK(linked);
		copy(linked, __start_stub_data, size);
	}
	copy(__start_stub_data, linked, size);
	clear(__start_stub_bss, (u64)(__stop_stub_bss - __start_stub_bss));
}

static void check_sum(const struct efi_table_header *header, u64 size)
{
	u8 *sealed = fuzz_copy(header, size);

	((struct efi_table_header *)sealed)->crc32 = 0;
	FUZZ_CHECK(header->header_size == size && header->crc32 == pk_crc32(0, sealed, size));
	free(sealed);
}

static void check_sums(const struct efi_system_table *table)
{
	check_sum(&table->hdr, sizeof(*table));
	check_sum(&table->boot->hdr, sizeof(*table->boot));
	check_sum(&table->runtime->hdr, sizeof(*table->runtime));
}

/* As Linux' EFI stub does. */
static void enter_linux(void)
{
	struct efi_system_table *table = pk_private_tables(&loaded_image);

	check_sums(table);
	FUZZ_CHECK(table->boot->install_configuration_table(&efi_guid_pykexec_test, &loaded_image) == EFI_SUCCESS);
	check_sums(table);
	FUZZ_CHECK(table->boot->exit_boot_services(pk_linux_handle(), pk_arena_map_key()) == EFI_SUCCESS);
	check_sums(table);
	stub_services = *table->runtime;
}

void stub_start(void)
{
	reset();
	secrets = false;
	pk_st = world_reset();
	pk_bs = pk_st->boot;
	pk_loaded_image = &loaded_image;
	pk_handoff.arena = (struct pk_range){ (u64)stub_linux_memory, sizeof(stub_linux_memory) };
	pk_window_allocate(PK_WINDOW_SIZE >> 20);
	pk_handles_watch(pk_window_tell);
	pk_boot_device_init();
	pk_net_stack_init();
	pk_mailbox_init();
	pk_window_begin();
	enter_linux();
}

void stub_next_linux(void)
{
	world_enter(true);
	pk_window_wipe();
	pk_net_release();
	pk_block_reconnect();
	pk_window_begin();
	world_leave();
}

void stub_end(void)
{
	stub_next_linux();
	world_enter(true);
	/* Only then may the stub be freed. */
	FUZZ_CHECK(EFI_ERROR(pk_ramdisk_release()) == world_has_own_disks());
	FUZZ_CHECK(world_disks_are_empty());
	pk_handles_unwatch();
	pk_window_release();
	world_leave();
	world_end();
}

efi_status_t (EFIAPI *stub_native_call(void))(u64 requests, u64 nr_requests)
{
	const struct pk_bootsvc_table *table = pk_bootsvc_table();

	return (void *)table->call;
}
