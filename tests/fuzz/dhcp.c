// SPDX-License-Identifier: Apache-2.0
/* Any bytes as a DHCPv4 packet: an address that is found in it lies in it. */
#include <common/dhcp.h>

#include "fuzz.h"

static bool lies_in(const u8 *packet, u64 size, u32 address)
{
	for (u64 at = 0; at + sizeof(address) <= size; at++)
		if (!memcmp(packet + at, &address, sizeof(address)))
			return true;
	return false;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fuzz_input input = { data, size };
	u8 option = fuzz_take(&input, 1);
	u8 *packet = fuzz_copy(input.data, input.size);
	u32 address = pk_dhcp_address(packet, input.size, option);
	u32 server = pk_dhcp_boot_server(packet, input.size);

	if (address)
		FUZZ_CHECK(lies_in(packet, input.size, address));
	if (server)
		FUZZ_CHECK(lies_in(packet, input.size, server));
	free(packet);
	return 0;
}
