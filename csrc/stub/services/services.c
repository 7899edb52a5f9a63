// SPDX-License-Identifier: Apache-2.0
/* What Linux can ask of the stub itself, and of the firmware as a whole. */
#include <stub/end/accident.h>
#include <stub/gate/gate.h>
#include <stub/lib/boot_device.h>
#include <stub/lib/stub.h>
#include <stub/services/handles.h>
#include <stub/services/identity.h>
#include <stub/services/memory_map.h>
#include <stub/services/services.h>
#include <stub/services/tcg2.h>
#include <stub/services/volume.h>

enum { SELF_TEST_MAX_US = 10000000 };

/* What stays as it is until the machine is reset, and takes milliseconds to ask for. */
static u32 firmware_flags;

void pk_services_init(u32 measured)
{
	struct efi_tcg2_capability capability;
	struct efi_tcg2 *tcg2;
	u8 secure_boot = 0;
	u64 size = sizeof(secure_boot);

	if (!EFI_ERROR(pk_st->runtime->get_variable((u16 *)u"SecureBoot", (efi_guid_t *)&efi_guid_global_variable,
						    NULL, &size, &secure_boot)) && secure_boot)
		firmware_flags |= PK_INFO_SECURE_BOOT;
	if (!EFI_ERROR(pk_tcg2_locate(&tcg2, &capability)))
		firmware_flags |= PK_INFO_TPM;
	firmware_flags |= measured;
}

static u32 boot_volume(void)
{
	efi_tpl_t tpl = pk_handles_hold();
	efi_handle_t handle = pk_boot_device();
	void *path = NULL;
	u32 number;

	if (handle)
		pk_bs->handle_protocol(handle, &efi_guid_device_path, &path);
	number = pk_handle_number(handle, path);
	pk_handles_release(tpl);
	return number;
}

efi_status_t pk_stub_info(struct pk_call *call)
{
	static struct pk_info reply;

	reply = (struct pk_info){
		.abi_version = PK_MESSAGE_VERSION,
		.firmware_revision = pk_st->firmware_revision,
		.uefi_revision = pk_st->hdr.revision,
		.tsc_khz = pk_handoff.tsc_khz,
		.nr_switches = pk_gate_statistics.nr_switches + pk_gate_statistics.nr_lean_switches,
		.arena_peak = pk_arena_peak(),
		.boot_volume = boot_volume(),
		.nr_handles = pk_handles_count(),
		.outcome = pk_handoff.outcome,
		.accident = pk_accident,
	};
	reply.flags |= firmware_flags;
	if (pk_handoff.outcome.nr_runs && pk_handoff.outcome.action == PK_ACTION_SHELL)
		reply.flags |= PK_INFO_SHELL;
	for (u32 i = 0; i < 63 && pk_st->firmware_vendor && pk_st->firmware_vendor[i]; i++)
		reply.vendor[i] = pk_st->firmware_vendor[i];
	pk_image_path(reply.image_path, sizeof(reply.image_path));
	return pk_answer(call, &reply, sizeof(reply));
}

efi_status_t pk_stub_handoff(struct pk_call *call)
{
	return pk_answer(call, &pk_handoff, sizeof(pk_handoff));
}

static volatile u64 nr_ticks;

static void EFIAPI count_tick(efi_event_t event, void *context)
{
	(void)event;
	(void)context;
	nr_ticks++;
}

efi_status_t pk_self_test(struct pk_call *call)
{
	const struct pk_self_test_request *request = call->body;
	struct pk_self_test_reply reply;
	efi_event_t event;
	efi_status_t status;

	if (!request->period_us || request->duration_us > SELF_TEST_MAX_US)
		return EFI_INVALID_PARAMETER;
	status = pk_bs->create_event((u32)EFI_EVT_TIMER | EFI_EVT_NOTIFY_SIGNAL, EFI_TPL_CALLBACK, count_tick, NULL,
				     &event);
	if (EFI_ERROR(status))
		return status;
	nr_ticks = 0;
	status = pk_bs->set_timer(event, EFI_TIMER_PERIODIC, (u64)request->period_us * 10);
	if (!EFI_ERROR(status))
		status = pk_bs->stall(request->duration_us);
	pk_bs->close_event(event);
	if (EFI_ERROR(status))
		return status;
	reply = (struct pk_self_test_reply){
		.nr_ticks = nr_ticks,
		.nr_switches = pk_gate_statistics.nr_switches + pk_gate_statistics.nr_lean_switches,
		.nr_stale_eois = pk_gate_statistics.nr_stale_eois,
		.nr_drained = pk_gate_statistics.nr_drained,
	};
	return pk_answer(call, &reply, sizeof(reply));
}
