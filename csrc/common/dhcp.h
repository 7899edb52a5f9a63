/* SPDX-License-Identifier: Apache-2.0 */
/* DHCPv4 packets as untrusted bytes (RFC 2131, RFC 2132). */
#ifndef PK_COMMON_DHCP_H
#define PK_COMMON_DHCP_H

#include <efi/types.h>

enum pk_dhcp_code {
	PK_DHCP_MASK		= 1,
	PK_DHCP_ROUTER		= 3,
	PK_DHCP_SERVER		= 54,
	PK_DHCP_BOOT_FILE	= 67,
};

/* An option's value; NULL: it is not there. Those in the fields for names (option 52) are not looked for. */
const u8 *pk_dhcp_option(const void *packet, u64 size, u8 option, u8 *ret_length);

/* The first of the option's addresses, in network byte order, as the header's are; 0: none. */
u32 pk_dhcp_address(const void *packet, u64 size, u8 option);

/* Who has the boot file: "siaddr", or without it the DHCP server itself; 0: nobody. */
u32 pk_dhcp_boot_server(const void *packet, u64 size);

#endif
