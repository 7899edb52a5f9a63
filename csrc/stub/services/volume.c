// SPDX-License-Identifier: Apache-2.0
/* Files on the firmware's volumes, read only. */
#include <stub/lib/string.h>
#include <stub/lib/stub.h>
#include <stub/services/identity.h>
#include <stub/services/volume.h>

enum { INFO_CAPACITY = 2048 };

static u8 info_buffer[INFO_CAPACITY] __attribute__((aligned(8)));

/* On success the volume stays borrowed until close_root(): what is open on it goes with it. */
static efi_status_t open_root(u32 handle, struct pk_interface *interface, struct efi_file **ret)
{
	efi_status_t status;

	status = pk_interface_borrow(handle, &efi_guid_simple_file_system, interface);
	if (EFI_ERROR(status))
		return status;
	status = interface->volume->open_volume(interface->volume, ret);
	if (EFI_ERROR(status))
		pk_interface_return(interface);
	return status;
}

static void close_root(const struct pk_interface *interface, struct efi_file *root)
{
	root->close(root);
	pk_interface_return(interface);
}

efi_status_t pk_volume_info(struct pk_call *call)
{
	const struct pk_handle_request *request = call->body;
	const struct efi_file_system_info *info = (const void *)info_buffer;
	struct pk_volume_info *reply = call->answer;
	u64 size = sizeof(info_buffer) - 2;
	struct pk_interface interface;
	struct efi_file *root;
	efi_status_t status;

	if (call->capacity < sizeof(*reply))
		return EFI_BUFFER_TOO_SMALL;
	status = open_root(request->handle, &interface, &root);
	if (EFI_ERROR(status))
		return status;
	memset(info_buffer, 0, sizeof(info_buffer));
	status = root->get_info(root, &efi_guid_file_system_info, &size, info_buffer);
	close_root(&interface, root);
	if (EFI_ERROR(status))
		return status;
	*reply = (struct pk_volume_info){
		.size = info->volume_size,
		.free_space = info->free_space,
		.block_size = info->block_size,
		.read_only = info->read_only,
	};
	for (u32 i = 0; i < 63 && info->volume_label[i]; i++)
		reply->label[i] = info->volume_label[i];
	call->answered = sizeof(*reply);
	return EFI_SUCCESS;
}

static efi_status_t read_open_file(struct efi_file *file, u64 offset, u64 wanted, struct pk_file_reply *reply,
				   u64 capacity, u64 *ret_size)
{
	const struct efi_file_info *info = (const void *)info_buffer;
	u64 size = sizeof(info_buffer);
	efi_status_t status;

	status = file->get_info(file, &efi_guid_file_info, &size, info_buffer);
	if (EFI_ERROR(status))
		return status;
	reply->file_size = info->file_size;
	reply->attributes = info->attribute;

	/* A directory is read from its start, record by record, whatever the offset (13.5). */
	if (info->attribute & EFI_FILE_DIRECTORY) {
		*ret_size = sizeof(*reply);
		while (capacity - *ret_size >= INFO_CAPACITY) {
			size = capacity - *ret_size;
			status = file->read(file, &size, (u8 *)reply + *ret_size);
			if (EFI_ERROR(status) || !size)
				return status;
			*ret_size += (size + 7) & ~7ULL;
		}
		return EFI_SUCCESS;
	}
	if (offset >= info->file_size) {
		*ret_size = sizeof(*reply);
		return EFI_SUCCESS;
	}
	size = capacity - sizeof(*reply);
	if (wanted < size)
		size = wanted;
	status = file->set_position(file, offset);
	if (EFI_ERROR(status))
		return status;
	status = file->read(file, &size, reply + 1);
	if (!EFI_ERROR(status))
		*ret_size = sizeof(*reply) + size;
	return status;
}

efi_status_t pk_file_read(struct pk_call *call)
{
	const struct pk_file_request *request = call->body;
	u16 *path = (u16 *)(request + 1);
	struct pk_interface interface;
	struct efi_file *root, *file;
	efi_status_t status;

	if (request->path_size < 2 || request->path_size % 2 || request->path_size > PK_PATH_MAX ||
	    request->path_size > call->size - sizeof(*request) || path[request->path_size / 2 - 1])
		return EFI_INVALID_PARAMETER;
	if (call->capacity < sizeof(struct pk_file_reply))
		return EFI_BUFFER_TOO_SMALL;
	status = open_root(request->handle, &interface, &root);
	if (EFI_ERROR(status))
		return status;
	status = root->open(root, &file, path, EFI_FILE_MODE_READ, 0);
	if (!EFI_ERROR(status)) {
		status = read_open_file(file, request->offset, request->size, call->answer, call->capacity,
					&call->answered);
		file->close(file);
	}
	close_root(&interface, root);
	return status;
}

void pk_image_path(u16 *out, u64 capacity)
{
	const struct efi_device_path *node = pk_loaded_image->file_path;
	u64 room = capacity / 2 - 1;
	u64 n = 0;

	out[0] = 0;
	/* The firmware's own path, of any number of file nodes (10.3.5.4). */
	for (u32 i = 0; node && i < 16 && node->type != EFI_DP_END; i++) {
		u64 length = node->length[0] | (u64)node->length[1] << 8;
		const u8 *name = (const u8 *)(node + 1);

		if (length < sizeof(*node))
			return;
		if (node->type == EFI_DP_MEDIA && node->subtype == EFI_DP_MEDIA_FILE) {
			if (n && n < room && out[n - 1] != '\\')
				out[n++] = '\\';
			for (u64 k = 0; k + 1 < length - sizeof(*node) && n < room; k += 2) {
				u16 c = (u16)(name[k] | name[k + 1] << 8);

				if (!c)
					break;
				out[n++] = c;
			}
			out[n] = 0;
		}
		node = (const void *)((const u8 *)node + length);
	}
}
