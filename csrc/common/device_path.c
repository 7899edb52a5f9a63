// SPDX-License-Identifier: Apache-2.0
/* Device paths as untrusted bytes (UEFI 2.10, 10.3.1). */
#include <common/device_path.h>
#include <common/mem.h>
#include <efi/guids.h>

enum {
	PK_DP_HEADER_SIZE	= sizeof(struct efi_device_path),
	PK_DP_NODE_MAX		= UINT16_MAX,
};

static u16 node_length(const struct efi_device_path *node)
{
	return node->length[0] | node->length[1] << 8;
}

static bool is_end(const struct efi_device_path *node)
{
	return node->type == EFI_DP_END && node->subtype == EFI_DP_END_ENTIRE;
}

static u8 *put_header(u8 *out, u8 type, u8 subtype, u64 length)
{
	const struct efi_device_path node = { type, subtype, { length & 0xff, length >> 8 } };

	memcpy(out, &node, sizeof(node));
	return out + sizeof(node);
}

static void put_end(u8 *out)
{
	put_header(out, EFI_DP_END, EFI_DP_END_ENTIRE, PK_DP_HEADER_SIZE);
}

u64 pk_device_path_size(const void *data, u64 capacity)
{
	const u8 *bytes = data;
	u64 offset = 0;

	while (capacity - offset >= PK_DP_HEADER_SIZE) {
		struct efi_device_path node;
		u16 length;

		memcpy(&node, bytes + offset, sizeof(node));
		length = node_length(&node);
		if (length < PK_DP_HEADER_SIZE || length > capacity - offset)
			return 0;
		offset += length;
		if (is_end(&node))
			return length == PK_DP_HEADER_SIZE ? offset : 0;
	}
	return 0;
}

bool pk_device_path_is_initrd(const void *data, u64 capacity)
{
	const u8 *bytes = data;
	const u64 length = PK_DP_HEADER_SIZE + sizeof(efi_guid_t);
	struct efi_device_path node;

	if (capacity < length + PK_DP_HEADER_SIZE)
		return false;
	memcpy(&node, bytes, sizeof(node));
	if (node.type != EFI_DP_MEDIA || node.subtype != EFI_DP_MEDIA_VENDOR || node_length(&node) != length)
		return false;
	if (memcmp(bytes + sizeof(node), &efi_guid_linux_initrd_media, sizeof(efi_guid_t)))
		return false;
	return pk_device_path_size(bytes + length, capacity - length) == PK_DP_HEADER_SIZE;
}

static bool names_file(const struct efi_device_path *node)
{
	return node->type == EFI_DP_MEDIA && node->subtype == EFI_DP_MEDIA_FILE;
}

static bool names_address(const struct efi_device_path *node)
{
	if (node->type != EFI_DP_MESSAGING)
		return false;
	return node->subtype == EFI_DP_MESSAGING_IPV4 || node->subtype == EFI_DP_MESSAGING_IPV6 ||
	       node->subtype == EFI_DP_MESSAGING_DNS || node->subtype == EFI_DP_MESSAGING_URI;
}

/* Does every node before the end node suit? */
static bool is_all(const void *data, u64 capacity, bool (*suits)(const struct efi_device_path *node))
{
	const u8 *bytes = data;

	if (!pk_device_path_size(data, capacity))
		return false;
	for (;;) {
		struct efi_device_path node;

		memcpy(&node, bytes, sizeof(node));
		if (is_end(&node))
			return true;
		if (!suits(&node))
			return false;
		bytes += node_length(&node);
	}
}

bool pk_device_path_is_file(const void *data, u64 capacity)
{
	return is_all(data, capacity, names_file);
}

bool pk_device_path_is_address(const void *data, u64 capacity)
{
	return is_all(data, capacity, names_address);
}

u64 pk_device_path_append_file(const void *base, u64 base_size, const u16 *path, void *out, u64 capacity)
{
	const u64 path_max = PK_DP_NODE_MAX - PK_DP_HEADER_SIZE;
	u64 kept = pk_device_path_size(base, base_size);
	u64 path_size = sizeof(*path);
	u64 total;
	u8 *to = out;

	if (!kept)
		return 0;
	kept -= PK_DP_HEADER_SIZE;
	for (const u16 *unit = path; *unit; unit++) {
		path_size += sizeof(*path);
		if (path_size > path_max)
			return 0;
	}
	total = kept + PK_DP_HEADER_SIZE + path_size + PK_DP_HEADER_SIZE;
	if (total > capacity)
		return 0;

	memcpy(to, base, kept);
	to = put_header(to + kept, EFI_DP_MEDIA, EFI_DP_MEDIA_FILE, PK_DP_HEADER_SIZE + path_size);
	memcpy(to, path, path_size);
	put_end(to + path_size);
	return total;
}

u64 pk_device_path_memory(u32 type, u64 start, u64 end, void *out, u64 capacity)
{
	const u64 length = PK_DP_HEADER_SIZE + sizeof(type) + sizeof(start) + sizeof(end);
	u8 *to = out;

	if (end < start || capacity < length + PK_DP_HEADER_SIZE)
		return 0;

	to = put_header(to, EFI_DP_HARDWARE, EFI_DP_HARDWARE_MEMORY, length);
	memcpy(to, &type, sizeof(type));
	memcpy(to + sizeof(type), &start, sizeof(start));
	memcpy(to + sizeof(type) + sizeof(start), &end, sizeof(end));
	put_end(to + sizeof(type) + sizeof(start) + sizeof(end));
	return length + PK_DP_HEADER_SIZE;
}
