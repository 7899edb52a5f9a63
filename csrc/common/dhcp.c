// SPDX-License-Identifier: Apache-2.0
/* DHCPv4 packets as untrusted bytes (RFC 2131, 2; RFC 2132). */
#include <common/dhcp.h>
#include <common/mem.h>

enum {
	SIADDR		= 20,
	COOKIE		= 236,
	OPTIONS		= 240,
	ADDRESS_SIZE	= 4,
	OPTION_PAD	= 0,
	OPTION_END	= 255,
};

static const u8 cookie[] = { 99, 130, 83, 99 };

static u32 address_at(const u8 *bytes)
{
	u32 address;

	memcpy(&address, bytes, sizeof(address));
	return address;
}

static bool has_options(const u8 *bytes, u64 size)
{
	return size >= OPTIONS && !memcmp(bytes + COOKIE, cookie, sizeof(cookie));
}

const u8 *pk_dhcp_option(const void *packet, u64 size, u8 option, u8 *ret_length)
{
	const u8 *bytes = packet;
	u64 at = OPTIONS;

	if (!has_options(bytes, size))
		return NULL;
	while (at < size && bytes[at] != OPTION_END) {
		u8 length;

		if (bytes[at] == OPTION_PAD) {
			at++;
			continue;
		}
		if (size - at < 2)
			return NULL;
		length = bytes[at + 1];
		if (length > size - at - 2)
			return NULL;
		if (bytes[at] == option) {
			*ret_length = length;
			return bytes + at + 2;
		}
		at += 2ULL + length;
	}
	return NULL;
}

u32 pk_dhcp_address(const void *packet, u64 size, u8 option)
{
	u8 length;
	const u8 *value = pk_dhcp_option(packet, size, option, &length);

	return value && length >= ADDRESS_SIZE ? address_at(value) : 0;
}

u32 pk_dhcp_boot_server(const void *packet, u64 size)
{
	const u8 *bytes = packet;

	if (!has_options(bytes, size))
		return 0;
	return address_at(bytes + SIADDR) ?: pk_dhcp_address(packet, size, PK_DHCP_SERVER);
}
