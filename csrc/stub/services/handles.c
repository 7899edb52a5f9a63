// SPDX-License-Identifier: Apache-2.0
/* The firmware's handles for Linux, under numbers of ours: no address ever crosses the mailbox. */
#include <common/device_path.h>
#include <stub/lib/string.h>
#include <stub/lib/stub.h>
#include <stub/services/handles.h>
#include <stub/services/identity.h>

u32 pk_handles_count(void)
{
	efi_handle_t *present;
	u64 nr_present;

	if (EFI_ERROR(pk_bs->locate_handle_buffer(EFI_ALL_HANDLES, NULL, NULL, &nr_present, &present)))
		return 0;
	pk_bs->free_pool(present);
	return (u32)nr_present;
}

/* One entry at out; *ret_size is 0 when it does not fit. */
static void put_entry(efi_handle_t handle, u8 *out, u64 capacity, u64 *ret_size)
{
	struct pk_handle_entry entry = { 0 };
	void *path = NULL;
	u64 size, nr_guids = 0;
	efi_guid_t **guids = NULL;

	if (EFI_ERROR(pk_bs->protocols_per_handle(handle, &guids, &nr_guids)))
		nr_guids = 0;
	if (!EFI_ERROR(pk_bs->handle_protocol(handle, &efi_guid_device_path, &path)))
		entry.device_path_size = (u16)pk_device_path_size(path, PK_DEVICE_PATH_MAX);
	entry.handle = pk_handle_number(handle, path);
	entry.nr_protocols = (u16)nr_guids;
	size = sizeof(entry) + nr_guids * sizeof(efi_guid_t) + entry.device_path_size;
	entry.size = (u32)((size + 7) & ~7ULL);

	*ret_size = 0;
	if (entry.size <= capacity) {
		memset(out, 0, entry.size);
		memcpy(out, &entry, sizeof(entry));
		out += sizeof(entry);
		for (u64 i = 0; i < nr_guids; i++, out += sizeof(efi_guid_t))
			memcpy(out, guids[i], sizeof(efi_guid_t));
		memcpy(out, path, entry.device_path_size);
		*ret_size = entry.size;
	}
	if (guids)
		pk_bs->free_pool(guids);
}

efi_status_t pk_handles_list(struct pk_call *call)
{
	const struct pk_handles_request *request = call->body;
	struct pk_handles_reply *reply = call->answer;
	efi_handle_t *present;
	efi_status_t status;
	u64 nr_present, used = sizeof(*reply);
	efi_tpl_t tpl;

	if (call->capacity < sizeof(*reply))
		return EFI_BUFFER_TOO_SMALL;
	tpl = pk_handles_hold();
	status = pk_bs->locate_handle_buffer(EFI_ALL_HANDLES, NULL, NULL, &nr_present, &present);
	if (EFI_ERROR(status))
		goto out;
	pk_handles_sweep(present, nr_present);
	reply->nr_handles = (u32)nr_present;
	reply->nr_entries = 0;
	for (u64 i = request->first; i < nr_present; i++) {
		u64 size;

		put_entry(present[i], (u8 *)call->answer + used, call->capacity - used, &size);
		if (!size)
			break;
		used += size;
		reply->nr_entries++;
	}
	pk_bs->free_pool(present);
	call->answered = used;
out:
	pk_handles_release(tpl);
	return status;
}

efi_status_t pk_handles_connect(struct pk_call *call)
{
	efi_handle_t *present;
	efi_status_t status;
	u64 nr_present;

	(void)call;
	status = pk_bs->locate_handle_buffer(EFI_ALL_HANDLES, NULL, NULL, &nr_present, &present);
	if (EFI_ERROR(status))
		return status;
	/* Most handles have no driver: that is no failure. */
	for (u64 i = 0; i < nr_present; i++)
		pk_bs->connect_controller(present[i], NULL, NULL, true);
	pk_bs->free_pool(present);
	return EFI_SUCCESS;
}
