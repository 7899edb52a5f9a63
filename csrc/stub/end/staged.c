// SPDX-License-Identifier: Apache-2.0
/* The image that is to be started: what Linux staged by the mailbox, or brought by kexec. */
#include <asm/bootparam.h>
#include <common/device_path.h>
#include <stub/end/origin.h>
#include <stub/end/staged.h>
#include <stub/lib/string.h>
#include <stub/lib/stub.h>

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

efi_status_t pk_payload_stage(struct pk_call *call)
{
	static u8 candidate[PK_DEVICE_PATH_MAX] __attribute__((aligned(8)));
	const struct pk_payload_request *request = call->body;
	u64 size = call->size - sizeof(*request);
	const u8 *path, *options;
	u64 pages = 0;
	efi_status_t status;

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
		status = pk_origin_check(candidate);
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

efi_status_t pk_payload_data(struct pk_call *call)
{
	const struct pk_payload_data *chunk = call->body;
	u64 size = call->size - sizeof(*chunk);

	if (!staged.pages)
		return EFI_NOT_READY;
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

efi_status_t pk_payload_lock(struct pk_call *call)
{
	(void)call;
	pk_payload_forget();
	locked = true;
	return EFI_SUCCESS;
}

bool pk_payload_locked(void)
{
	return locked;
}

void pk_payload_unlock(void)
{
	locked = false;
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

bool pk_payload_of_kexec(struct pk_payload *ret)
{
	const struct boot_params *boot_params = (const void *)pk_handoff.boot_params;
	const char *token = NULL;
	u64 line;

	if (pk_linux_memory_behind(pk_handoff.boot_params) < sizeof(*boot_params))
		return false;
	line = pair(boot_params->hdr.cmd_line_ptr, boot_params->ext_cmd_line_ptr);
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
