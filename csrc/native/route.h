/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses and routes of network interfaces (rtnetlink(7)); each call returns 0 or -errno unless it says more. */
#ifndef PK_NATIVE_ROUTE_H
#define PK_NATIVE_ROUTE_H

#include <pykexec/types.h>

/* An address of an interface, in network byte order. */
struct pk_interface_address {
	u8 ipv6;
	u8 prefix_length;
	u8 tentative;	/* duplicates are still being looked for */
	u8 link_local;
	u8 address[16];	/* IPv4: the first four bytes */
};

/* What routers advertise on an interface (RFC 4861, 4.2). */
struct pk_advertised {
	u8 router;	/* one was heard at all */
	u8 managed;	/* addresses come by DHCPv6 */
	u8 other;	/* other configuration comes by DHCPv6 */
};

int pk_interface_up(const char *name, bool up);
int pk_interface_rename(const char *name, const char *wanted);

int pk_address_change(u32 interface, bool add, const struct pk_interface_address *address);

/* Addresses of the interface: their number, at most capacity, or -errno. */
int pk_address_list(u32 interface, struct pk_interface_address *ret, u32 capacity);

/* gateway NULL: what the route leads to is on the link. destination with prefix length 0: the default route. */
int pk_route_add(u32 interface, const struct pk_interface_address *destination, const u8 *gateway);

int pk_router_advertised(u32 interface, struct pk_advertised *ret);

#endif
