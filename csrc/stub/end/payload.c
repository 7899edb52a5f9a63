// SPDX-License-Identifier: Apache-2.0
/* The payload: the firmware's own LoadImage and StartImage, and what became of it. */
#include <common/pe.h>
#include <stub/end/leave.h>
#include <stub/end/origin.h>
#include <stub/end/payload.h>
#include <stub/end/secrets.h>
#include <stub/end/staged.h>
#include <stub/lib/boot_device.h>
#include <stub/lib/console.h>
#include <stub/lib/stub.h>
#include <stub/lib/test.h>

static void outcome(enum pk_stage stage, efi_status_t status)
{
	pk_handoff.outcome.stage = stage;
	pk_handoff.outcome.status = pk_stage(stage, status);
}

/*
 * shim 16 has put a LoadImage and a StartImage of its own into the table of boot services. They take
 * every image for an application: when its entry point returns its memory is freed, a driver's too.
 */
static bool frees_drivers(void)
{
	void *loader;

	return pk_test_shim(!EFI_ERROR(pk_bs->locate_protocol(&efi_guid_shim_image_loader, NULL, &loader)));
}

efi_status_t pk_payload_load(const struct pk_payload *payload, efi_handle_t *ret_handle,
			     struct efi_loaded_image **ret_image)
{
	struct efi_loaded_image *image;
	efi_handle_t handle = NULL;
	efi_status_t status;

	/* Again: handles may have come since it was staged. */
	status = payload->from_memory ? EFI_SUCCESS : pk_origin_check(payload->device_path);
	if (EFI_ERROR(status))
		return status;
	if (!pk_pe_is_application((void *)payload->data, payload->size) && frees_drivers())
		return EFI_UNSUPPORTED;
	status = pk_bs->load_image(false, pk_image, payload->device_path, (void *)payload->data, payload->size,
				   &handle);
	if (EFI_ERROR(status)) {
		/* A security violation leaves an image that only waits to be unloaded (7.4.1). */
		if (status == EFI_SECURITY_VIOLATION && handle)
			pk_bs->unload_image(handle);
		return status;
	}
	status = pk_bs->handle_protocol(handle, &efi_guid_loaded_image, (void **)&image);
	if (EFI_ERROR(status)) {
		pk_bs->unload_image(handle);
		return status;
	}
	if (payload->options_size) {
		image->load_options = (void *)payload->options;
		image->load_options_size = payload->options_size;
	}
	/* A payload out of memory still finds a volume to look for its files on. */
	if (!image->device_handle)
		image->device_handle = pk_boot_device();
	*ret_handle = handle;
	*ret_image = image;
	return EFI_SUCCESS;
}

static void load_and_start(const struct pk_payload *payload, void (*give_back)(void))
{
	struct efi_loaded_image *image;
	efi_handle_t handle;
	efi_char16_t *exit_data = NULL;
	u64 exit_data_size = 0;
	efi_status_t status;

	status = pk_payload_load(payload, &handle, &image);
	/* The firmware has its own copy; its options and path are not in Linux' memory. */
	pk_secrets_wipe();
	if (EFI_ERROR(status)) {
		outcome(PK_STAGE_LOAD, status);
		return;
	}
	pk_stage(PK_STAGE_LOAD, EFI_SUCCESS);
	pk_payload_forget();
	if (!pk_action_starts_linux(payload->failure_action))
		give_back();
	pk_stage(PK_STAGE_STARTED, EFI_SUCCESS);
	pk_bs->set_watchdog_timer(PK_IMAGE_WATCHDOG_S, 0, 0, NULL);
	pk_test_hook(pk_bs);
	status = pk_bs->start_image(handle, &exit_data_size, &exit_data);
	pk_bs->set_watchdog_timer(0, 0, 0, NULL);
	if (exit_data)
		pk_bs->free_pool(exit_data);
	outcome(PK_STAGE_RETURNED, status);
}

enum pk_action pk_payload_run(void (*give_back)(void))
{
	struct pk_payload payload = { .failure_action = PK_ACTION_AGENT };
	bool found;

	pk_handoff.outcome.nr_runs++;
	if (pk_leave.requested && pk_leave.action != PK_ACTION_PAYLOAD) {
		outcome(PK_STAGE_LEAVE, EFI_SUCCESS);
		pk_handoff.outcome.action = pk_leave.action;
		return pk_leave.action;
	}
	found = pk_leave.requested ? pk_payload_of_mailbox(&payload) : pk_payload_of_kexec(&payload);
	if (found)
		load_and_start(&payload, give_back);
	else
		outcome(PK_STAGE_LOAD, EFI_NOT_FOUND);
	pk_secrets_wipe();
	pk_payload_forget();
	pk_handoff.outcome.action = payload.failure_action;
	return payload.failure_action;
}
