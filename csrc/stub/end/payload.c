// SPDX-License-Identifier: Apache-2.0
/* The payload: what Linux staged, the firmware's own LoadImage and StartImage, and what became of it. */
#include <stub/end/payload.h>
#include <stub/lib/test.h>
#include <asm/bootparam.h>
#include <common/device_path.h>

struct pk_leave pk_leave;

/* What PAYLOAD_STAGE brought. */
static struct {
	struct pk_payload_request request;
	u8 device_path[PK_DEVICE_PATH_MAX] __attribute__((aligned(8)));
	u16 options[PK_OPTIONS_MAX / 2];
	u64 pages;	/* firmware memory for PAYLOAD_DATA, 0 if none */
	u64 received;
} staged;

static void release_pages(void)
{
	if (staged.pages)
		pk_bs->free_pages(staged.pages, (staged.request.payload_size + PK_PAGE_SIZE - 1) / PK_PAGE_SIZE);
	staged.pages = 0;
	staged.received = 0;
}

/* Is there a handle with protocol whose path this path begins with? */
static bool comes_from(const efi_guid_t *protocol, const void *path)
{
	struct efi_device_path *rest = (void *)path;
	efi_handle_t handle;

	return !EFI_ERROR(pk_bs->locate_device_path(protocol, &rest, &handle));
}

/*
 * LoadImage verifies a payload according to where its path says it comes from,
 * and trusts what comes out of the firmware's own volumes unseen (EDK II, say).
 * The bytes are root's, and so is the path: it may name a file system or a
 * network, nothing else.
 */
static efi_status_t check_origin(const void *path)
{
	if (comes_from(&efi_guid_firmware_volume2, path) || comes_from(&efi_guid_firmware_volume, path))
		return EFI_ACCESS_DENIED;
	if (comes_from(&efi_guid_simple_file_system, path) || comes_from(&efi_guid_load_file, path))
		return EFI_SUCCESS;
	return EFI_ACCESS_DENIED;
}

efi_status_t pk_payload_stage(const void *body, u64 size)
{
	static u8 candidate[PK_DEVICE_PATH_MAX] __attribute__((aligned(8)));
	const struct pk_payload_request *request = body;
	const u8 *path, *options;
	u64 pages = 0;
	efi_status_t status;

	if (size < sizeof(*request))
		return EFI_INVALID_PARAMETER;
	size -= sizeof(*request);
	path = (const u8 *)(request + 1);
	if (!request->token || request->failure_action >= PK_ACTION_PAYLOAD ||
	    request->device_path_size > PK_DEVICE_PATH_MAX || request->options_size > PK_OPTIONS_MAX ||
	    (u64)request->device_path_size + request->options_size > size || request->payload_size > PK_PAYLOAD_MAX)
		return EFI_INVALID_PARAMETER;
	options = path + request->device_path_size;
	if (request->device_path_size &&
	    pk_device_path_size(path, request->device_path_size) != request->device_path_size)
		return EFI_INVALID_PARAMETER;
	if (request->options_size && (request->options_size < 2 || request->options_size % 2 ||
				      options[request->options_size - 1] || options[request->options_size - 2]))
		return EFI_INVALID_PARAMETER;
	if (request->device_path_size) {
		memcpy(candidate, path, request->device_path_size);
		status = pk_test_origin(check_origin(candidate));
		if (EFI_ERROR(status))
			return status;
	}
	if (request->payload_size) {
		status = pk_bs->allocate_pages(EFI_ALLOCATE_ANY_PAGES, EFI_LOADER_DATA,
					       (request->payload_size + PK_PAGE_SIZE - 1) / PK_PAGE_SIZE, &pages);
		if (EFI_ERROR(status))
			return status;
	}

	release_pages();
	staged.request = *request;
	staged.pages = pages;
	memcpy(staged.device_path, path, request->device_path_size);
	memcpy(staged.options, options, request->options_size);
	return EFI_SUCCESS;
}

efi_status_t pk_payload_data(const void *body, u64 size)
{
	const struct pk_payload_data *chunk = body;

	if (!staged.pages)
		return EFI_NOT_READY;
	if (size < sizeof(*chunk))
		return EFI_INVALID_PARAMETER;
	size -= sizeof(*chunk);
	/* In order and without holes, so that received says it all. */
	if (chunk->offset != staged.received || size > staged.request.payload_size - staged.received)
		return EFI_INVALID_PARAMETER;
	memcpy((void *)(staged.pages + staged.received), chunk + 1, size);
	staged.received += size;
	return EFI_SUCCESS;
}

void pk_payload_forget(void)
{
	release_pages();
	staged.request.token = 0;
}

static bool locked;

void pk_payload_lock(void)
{
	pk_payload_forget();
	locked = true;
}

void pk_payload_unlock(void)
{
	locked = false;
}

bool pk_payload_refuses(u16 op, const void *body, u64 size)
{
	const struct pk_payload_request *request = body;

	if (!pk_test_payload_lock(locked))
		return false;
	switch (op) {
	case PK_OP_PAYLOAD_DATA:
	case PK_OP_IMAGE_START:
		return true;
	case PK_OP_PAYLOAD_STAGE:
		/* What kexec brings, the kernel has verified. */
		return size >= sizeof(*request) && request->payload_size;
	default:
		return false;
	}
}

bool pk_payload_ready(void)
{
	return staged.pages && staged.received == staged.request.payload_size;
}

static u64 pair(u32 low, u32 high)
{
	return low | (u64)high << 32;
}

/* Load options from kexec's command line, when nobody staged better ones. */
static u32 options_from_command_line(const char *line, u64 capacity)
{
	u32 n = 0;

	while (n < capacity && n < PK_OPTIONS_MAX / 2 - 1 && line[n]) {
		staged.options[n] = (u8)line[n];
		n++;
	}
	staged.options[n] = 0;
	return n ? 2 * (n + 1) : 0;
}

/* A path that says truthfully that the payload came out of memory. */
static void use_memory_path(struct pk_payload *payload)
{
	pk_device_path_memory(EFI_LOADER_DATA, payload->data, payload->data + payload->size - 1, staged.device_path,
			      sizeof(staged.device_path));
	payload->device_path = staged.device_path;
	payload->from_memory = true;
}

static void use_staged_request(struct pk_payload *payload)
{
	payload->options = staged.options;
	payload->options_size = staged.request.options_size;
	payload->failure_action = staged.request.failure_action;
	if (staged.request.device_path_size)
		payload->device_path = staged.device_path;
	else
		use_memory_path(payload);
}

/* kexec brought the payload as initrd; the command line names what was staged, or is the options. */
static bool payload_of_kexec(struct pk_payload *ret)
{
	const struct boot_params *boot_params = (const void *)pk_handoff.boot_params;
	u64 line = pair(boot_params->hdr.cmd_line_ptr, boot_params->ext_cmd_line_ptr);
	const char *token = NULL;

	*ret = (struct pk_payload){
		.data = pair(boot_params->hdr.ramdisk_image, boot_params->ext_ramdisk_image),
		.size = pair(boot_params->hdr.ramdisk_size, boot_params->ext_ramdisk_size),
		.failure_action = PK_ACTION_AGENT,
	};
	if (!ret->size || ret->size > pk_linux_memory_behind(ret->data))
		return false;
	/* kexec terminates it, and its buffer is whole pages of the range. */
	if (pk_linux_memory_behind(line))
		token = pk_option((const char *)line, "pykexec.payload");
	if (token && staged.request.token && pk_parse_decimal(token) == staged.request.token) {
		use_staged_request(ret);
		return true;
	}
	ret->options_size = options_from_command_line((const char *)line, pk_linux_memory_behind(line));
	ret->options = staged.options;
	use_memory_path(ret);
	return true;
}

bool pk_payload_of_mailbox(struct pk_payload *ret)
{
	if (!pk_payload_ready())
		return false;
	*ret = (struct pk_payload){
		.data = staged.pages,
		.size = staged.request.payload_size,
	};
	use_staged_request(ret);
	return true;
}

static void outcome(enum pk_stage stage, efi_status_t status)
{
	pk_handoff.outcome.stage = stage;
	pk_handoff.outcome.status = pk_stage(stage, status);
}

efi_status_t pk_payload_load(const struct pk_payload *payload, efi_handle_t *ret_handle,
			     struct efi_loaded_image **ret_image)
{
	struct efi_loaded_image *image;
	efi_handle_t handle = NULL;
	efi_status_t status;

	/* Again: handles may have come since it was staged. */
	status = payload->from_memory ? EFI_SUCCESS : pk_test_origin(check_origin(payload->device_path));
	if (EFI_ERROR(status))
		return status;
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

static void load_and_start(const struct pk_payload *payload)
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
	pk_stage(PK_STAGE_STARTED, EFI_SUCCESS);
	pk_bs->set_watchdog_timer(PK_IMAGE_WATCHDOG_S, 0, 0, NULL);
	status = pk_bs->start_image(handle, &exit_data_size, &exit_data);
	pk_bs->set_watchdog_timer(0, 0, 0, NULL);
	if (exit_data)
		pk_bs->free_pool(exit_data);
	outcome(PK_STAGE_RETURNED, status);
}

enum pk_action pk_payload_run(void)
{
	struct pk_payload payload = { .failure_action = PK_ACTION_AGENT };
	bool found;

	pk_handoff.outcome.nr_runs++;
	if (pk_leave.requested && pk_leave.action != PK_ACTION_PAYLOAD) {
		outcome(PK_STAGE_LEAVE, EFI_SUCCESS);
		pk_handoff.outcome.action = pk_leave.action;
		return pk_leave.action;
	}
	found = pk_leave.requested ? pk_payload_of_mailbox(&payload) : payload_of_kexec(&payload);
	if (found)
		load_and_start(&payload);
	else
		outcome(PK_STAGE_LOAD, EFI_NOT_FOUND);
	pk_secrets_wipe();
	pk_payload_forget();
	pk_handoff.outcome.action = payload.failure_action;
	return payload.failure_action;
}
