// SPDX-License-Identifier: Apache-2.0
/*
 * EFI drivers and applications that the running Linux has the firmware load,
 * verify, measure and start, on the gate's stack with Linux waiting.
 *
 * An image that does not come back in time resets the machine by the watchdog,
 * as it would have done in place of Linux. One that calls ExitBootServices and
 * goes on, an operating system's loader, has taken the machine: Linux is not
 * heard of again. One that calls it and comes back leaves neither a firmware to
 * go on with nor a Linux that could do without, so that a reset is all there is.
 */
#include <common/pe.h>
#include <stub/end/payload.h>
#include <stub/end/staged.h>
#include <stub/gate/limit.h>
#include <stub/lib/console.h>
#include <stub/lib/string.h>
#include <stub/lib/stub.h>
#include <stub/services/image.h>

static bool boot_services_gone;

static void EFIAPI note_exit(efi_event_t event, void *context)
{
	(void)event;
	(void)context;
	boot_services_gone = true;
}

/* A driver reads its options whenever it likes: they must not lie in what the next request writes to. */
static efi_status_t own_options(struct pk_payload *payload, void **ret)
{
	efi_status_t status;

	*ret = NULL;
	if (!payload->options_size)
		return EFI_SUCCESS;
	status = pk_bs->allocate_pool(EFI_BOOT_SERVICES_DATA, payload->options_size, ret);
	if (EFI_ERROR(status))
		return status;
	memcpy(*ret, payload->options, payload->options_size);
	payload->options = *ret;
	return EFI_SUCCESS;
}

static efi_status_t start(efi_handle_t handle)
{
	efi_char16_t *exit_data = NULL;
	u64 exit_data_size = 0;
	efi_status_t status;

	pk_trace(PK_STAGE_STARTED, EFI_SUCCESS);
	pk_limit_stop();
	pk_bs->set_watchdog_timer(PK_IMAGE_WATCHDOG_S, 0, 0, NULL);
	status = pk_bs->start_image(handle, &exit_data_size, &exit_data);
	if (boot_services_gone)
		pk_st->runtime->reset_system(EFI_RESET_COLD, EFI_SUCCESS, 0, NULL);
	pk_bs->set_watchdog_timer(0, 0, 0, NULL);
	if (exit_data)
		pk_bs->free_pool(exit_data);
	pk_trace(PK_STAGE_RETURNED, status);
	return status;
}

/* The staged image's whole life, or its way into the firmware for good. */
static efi_status_t load_and_start(struct pk_image_reply *ret)
{
	struct pk_payload payload;
	struct efi_loaded_image *image;
	efi_handle_t handle;
	efi_status_t status;
	void *options;
	bool is_driver;

	if (!pk_payload_of_mailbox(&payload))
		return EFI_NOT_READY;
	status = own_options(&payload, &options);
	if (EFI_ERROR(status))
		return status;
	status = pk_payload_load(&payload, &handle, &image);
	pk_trace(PK_STAGE_LOAD, status);
	*ret = (struct pk_image_reply){ .status = status, .stage = PK_STAGE_LOAD };
	if (EFI_ERROR(status))
		goto out;
	/* Gone once it has returned, but for a driver that succeeded (7.4.3); of shim's images ImageCodeType is 0. */
	is_driver = !pk_pe_is_application((void *)payload.data, payload.size);
	*ret = (struct pk_image_reply){ .status = start(handle), .stage = PK_STAGE_RETURNED };
	if (is_driver && !EFI_ERROR(ret->status))
		return EFI_SUCCESS;
out:
	if (options)
		pk_bs->free_pool(options);
	return EFI_SUCCESS;
}

efi_status_t pk_image_start(struct pk_call *call)
{
	struct pk_image_reply reply;
	efi_event_t event;
	efi_status_t status;

	if (call->capacity < sizeof(reply))
		return EFI_BUFFER_TOO_SMALL;
	status = pk_bs->create_event(EFI_EVT_SIGNAL_EXIT_BOOT_SERVICES, EFI_TPL_CALLBACK, note_exit, NULL, &event);
	if (EFI_ERROR(status))
		return status;
	status = load_and_start(&reply);
	pk_bs->close_event(event);
	pk_payload_forget();
	if (EFI_ERROR(status))
		return status;
	return pk_answer(call, &reply, sizeof(reply));
}
