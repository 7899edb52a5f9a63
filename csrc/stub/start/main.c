// SPDX-License-Identifier: Apache-2.0
/*
 * The stub: started by the firmware as the first part of a unified kernel
 * image, it runs Linux inside an arena with boot services alive, and stays
 * resident to start what Linux leaves behind.
 */
#include <stub/doors/bootsvc.h>
#include <stub/doors/mailbox.h>
#include <stub/doors/window.h>
#include <stub/end/accident.h>
#include <stub/end/last_end.h>
#include <stub/end/leave.h>
#include <stub/end/payload.h>
#include <stub/end/secrets.h>
#include <stub/end/staged.h>
#include <stub/gate/faults.h>
#include <stub/gate/gate.h>
#include <stub/gate/limit.h>
#include <stub/gate/state.h>
#include <stub/gate/tick.h>
#include <stub/gate/watchdog.h>
#include <stub/lib/boot_device.h>
#include <stub/lib/console.h>
#include <stub/lib/string.h>
#include <stub/lib/stub.h>
#include <stub/services/block.h>
#include <stub/services/firmware_ram.h>
#include <stub/services/identity.h>
#include <stub/services/net.h>
#include <stub/services/net_stack.h>
#include <stub/services/ramdisk.h>
#include <stub/services/services.h>
#include <stub/services/window_memory.h>
#include <stub/start/clock.h>
#include <stub/start/linux.h>
#include <stub/start/measure.h>
#include <stub/start/memory.h>
#include <stub/start/platform.h>
#include <stub/start/sections.h>
#include <stub/start/tick_check.h>

enum {
	ARENA_DEFAULT_MIB = PK_ARENA_DEFAULT / (1024 * 1024),
	WINDOW_DEFAULT_MIB = PK_WINDOW_SIZE / (1024 * 1024),
	COMMAND_LINE_HEAD = 4096,
	LIMIT_DEFAULT_S = 300,		/* as the firmware has it for a boot option (3.1.2) */
};

extern u8 __image_start[], __resident_end[];

/* Where secrets pass beside Linux' memory; the gate's stack, on which all of them may run, last. */
static void (*const wipes[])(void) = {
	pk_window_wipe_all, pk_mailbox_wipe, pk_bootsvc_wipe, pk_block_wipe, pk_gate_wipe,
};

/* The value of an option of ours and what follows it on the command line, or NULL. */
static const char *option(const char *name)
{
	static char line[COMMAND_LINE_HEAD];
	u64 size = pk_sections.command_line.size;

	if (size >= sizeof(line))
		size = sizeof(line) - 1;
	memcpy(line, (void *)pk_sections.command_line.start, size);
	line[size] = 0;
	return pk_option(line, name);
}

/* What an option of ours says in MiB, or the default. */
static u64 wanted_mib(const char *name, u64 mib)
{
	const char *value = option(name);

	return value ? pk_parse_decimal(value) : mib;
}

/* For how long the firmware may work on one request; 0: for ever. */
static u32 wanted_limit_s(void)
{
	const char *value = option("pykexec.limit");

	return value ? (u32)pk_parse_decimal(value) : LIMIT_DEFAULT_S;
}

/* For who binds policies to PCR 11, as systemd-stub extends it. */
static bool wants_sections_measured(void)
{
	const char *value = option("pykexec.measure");
	const char *wanted = "systemd";
	u64 length = pk_strlen(wanted);

	return value && pk_strlen(value) >= length && !memcmp(value, wanted, length) &&
	       (!value[length] || value[length] == ' ');
}

/* Only images that are to find out what machine they are on. */
static bool certifies(void)
{
	return option("pykexec.certify") != NULL;
}

/* Everything that is done once, before the first Linux. */
static efi_status_t prepare(void)
{
	efi_status_t status;
	u32 measured;

	status = pk_platform_check();
	if (EFI_ERROR(status))
		return status;
	status = pk_stage(PK_STAGE_SECTIONS, pk_sections_find());
	if (EFI_ERROR(status))
		return status;
	status = pk_stage(PK_STAGE_MEASURE, pk_measure_image(wants_sections_measured(), &measured));
	if (EFI_ERROR(status))
		return status;

	pk_handoff.stub = (struct pk_range){ (u64)__image_start, (u64)(__resident_end - __image_start) };
	pk_handoff.resume_entry = (u64)pk_resume_entry;
	pk_handoff.tsc_khz = pk_tsc_khz();
	status = pk_stage(PK_STAGE_ARENA, pk_arena_allocate(wanted_mib("pykexec.arena", ARENA_DEFAULT_MIB)));
	if (EFI_ERROR(status))
		return status;
	pk_window_allocate(wanted_mib("pykexec.window", WINDOW_DEFAULT_MIB));
	pk_handles_watch(pk_window_tell);
	pk_print("pykexec: arena [%x, %x), resident [%x, %x)\n", pk_handoff.arena.start,
		 pk_handoff.arena.start + pk_handoff.arena.size, pk_handoff.stub.start,
		 pk_handoff.stub.start + pk_handoff.stub.size);
	pk_boot_device_init();
	pk_net_stack_init();
	pk_tick_init();
	pk_state_save();
	pk_watchdogs_tell();
	status = pk_stage(PK_STAGE_TICKS, pk_tick_check());
	if (EFI_ERROR(status))
		return status;
	pk_services_init(measured);
	pk_mailbox_init();
	pk_secrets_init(wipes, sizeof(wipes) / sizeof(wipes[0]));
	if (certifies())
		pk_firmware_ram_init();
	return pk_stage(PK_STAGE_CONTEXT, EFI_SUCCESS);
}

/* What none but Linux needs. */
static void give_back(void)
{
	pk_window_release();
	pk_arena_release();
}

/* One life of Linux, from its entry to what it left to be done. */
static efi_status_t run_linux(enum pk_action *ret_action)
{
	efi_status_t status;

	pk_leave_init();
	pk_window_begin();
	pk_payload_unlock();
	status = pk_stage(PK_STAGE_KERNEL, pk_linux_prepare());
	if (!EFI_ERROR(status))
		status = pk_limit_begin(wanted_limit_s(), pk_accident_hang);
	if (EFI_ERROR(status))
		return status;
	pk_linux_run();
	pk_secrets_wipe_registers();

	/* From here on the processor is the firmware's again, its devices not yet. */
	pk_trace(PK_STAGE_RESUME, pk_handoff.boot_params ? EFI_SUCCESS : EFI_ABORTED);
	pk_handoff.tsc_resume = pk_handoff.trace[(pk_handoff.nr_trace - 1) % PK_TRACE_MAX].tsc;
	pk_state_restore();
	__asm__ volatile("sti");
	pk_limit_end();
	if (pk_fault.vector) {
		pk_secrets_wipe();
		pk_accident_fault();
	}
	pk_stage(PK_STAGE_FIRMWARE, EFI_SUCCESS);
	/* What kexec brought lies in Linux' memory and is loaded first; nothing else is needed from there. */
	if (pk_leave.requested)
		pk_secrets_wipe();
	/* The payload gets the devices as Linux found them. */
	pk_window_wipe();
	pk_net_release();
	pk_block_reconnect();
	*ret_action = pk_payload_run(give_back);
	return EFI_SUCCESS;
}

EFIAPI efi_status_t efi_main(efi_handle_t image, struct efi_system_table *system_table)
{
	enum pk_action action;
	efi_status_t status;

	pk_st = system_table;
	pk_bs = system_table->boot;
	pk_image = image;
	status = pk_bs->handle_protocol(image, &efi_guid_loaded_image, (void **)&pk_loaded_image);
	if (EFI_ERROR(status))
		return status;
	/* Its time would stand still with the firmware's, and end the machine once Linux is gone. */
	pk_bs->set_watchdog_timer(0, 0, 0, NULL);
	pk_stage(PK_STAGE_START, EFI_SUCCESS);
	pk_accident_recall();

	status = prepare();
	if (!EFI_ERROR(status)) {
		do
			status = run_linux(&action);
		while (!EFI_ERROR(status) && pk_action_starts_linux(action));
	}
	if (EFI_ERROR(status)) {
		action = PK_ACTION_BOOT_NEXT;
		pk_print("pykexec: cannot start Linux (%x), back to the firmware\n", status);
		pk_last_end_keep(PK_STAGE_LINUX, status, action);
	} else {
		pk_last_end_keep(pk_handoff.outcome.stage, pk_handoff.outcome.status, action);
		status = action == PK_ACTION_FIRMWARE ? EFI_SUCCESS : EFI_ABORTED;
	}
	pk_stage(PK_STAGE_ACTION, action);
	if (EFI_ERROR(pk_ramdisk_release())) {
		pk_print("pykexec: a driver does not let go of a disk of ours: reset\n");
		action = PK_ACTION_RESET;
	}
	if (action == PK_ACTION_RESET)
		pk_st->runtime->reset_system(pk_leave.reset_type, EFI_SUCCESS, 0, NULL);
	pk_handles_unwatch();
	pk_firmware_ram_deinit();
	give_back();
	return status;
}
