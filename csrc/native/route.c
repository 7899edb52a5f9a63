// SPDX-License-Identifier: Apache-2.0
/* Addresses and routes of network interfaces (rtnetlink(7)). */
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <native/route.h>

enum {
	REQUEST_SIZE = 256,
	ANSWER_SIZE = 32768,	/* what the kernel fills at most in one datagram of a dump */
	IPV4_SIZE = 4,
	IPV6_SIZE = 16,
	/* net/if_inet6.h, not part of the exported headers: bits of IFLA_INET6_FLAGS */
	RA_OTHERCONF = 0x80,
	RA_MANAGED = 0x40,
	RA_RCVD = 0x20,
};

struct request {
	struct nlmsghdr header;
	u8 body[REQUEST_SIZE];
};

/* Sees each message of an answer; 0 or -errno. */
typedef int visit_t(const struct nlmsghdr *message, void *context);

static void *begin(struct request *request, u16 type, u16 flags, u64 size)
{
	*request = (struct request){ .header = {
		.nlmsg_len = NLMSG_LENGTH(size),
		.nlmsg_type = type,
		.nlmsg_flags = NLM_F_REQUEST | flags,
	} };
	return NLMSG_DATA(&request->header);
}

/* The callers' attributes fit: an address, a gateway and a number. */
static void put(struct request *request, u16 type, const void *data, u16 size)
{
	struct rtattr *attribute = (void *)((u8 *)request + NLMSG_ALIGN(request->header.nlmsg_len));

	*attribute = (struct rtattr){ .rta_len = RTA_LENGTH(size), .rta_type = type };
	memcpy(RTA_DATA(attribute), data, size);
	request->header.nlmsg_len = NLMSG_ALIGN(request->header.nlmsg_len) + RTA_LENGTH(size);
}

/* 1: more is to come. */
static int read_answer(int fd, visit_t *visit, void *context)
{
	static __thread u8 answer[ANSWER_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
	ssize_t got = recv(fd, answer, sizeof(answer), 0);
	u32 size = (u32)got;

	if (got < 0)
		return -errno;
	for (const struct nlmsghdr *m = (void *)answer; NLMSG_OK(m, size); m = NLMSG_NEXT(m, size)) {
		int result = 0;

		if (m->nlmsg_type == NLMSG_DONE)
			return 0;
		if (m->nlmsg_type == NLMSG_ERROR)
			return ((const struct nlmsgerr *)NLMSG_DATA(m))->error;
		if (visit)
			result = visit(m, context);
		if (result)
			return result;
	}
	return 1;
}

static int ask(struct request *request, visit_t *visit, void *context)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	int result;

	if (fd < 0)
		return -errno;
	result = send(fd, request, request->header.nlmsg_len, 0) < 0 ? -errno : 1;
	while (result > 0)
		result = read_answer(fd, visit, context);
	close(fd);
	return result;
}

int pk_interface_up(const char *name, bool up)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { 0 };
	int result = 0;

	if (fd < 0)
		return -errno;
	strncpy(request.ifr_name, name, sizeof(request.ifr_name) - 1);
	if (ioctl(fd, SIOCGIFFLAGS, &request))
		result = -errno;
	request.ifr_flags = (short)(up ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP);
	if (!result && ioctl(fd, SIOCSIFFLAGS, &request))
		result = -errno;
	close(fd);
	return result;
}

int pk_interface_rename(const char *name, const char *wanted)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { 0 };
	int result = 0;

	if (fd < 0)
		return -errno;
	strncpy(request.ifr_name, name, sizeof(request.ifr_name) - 1);
	strncpy(request.ifr_newname, wanted, sizeof(request.ifr_newname) - 1);
	if (ioctl(fd, SIOCSIFNAME, &request))
		result = -errno;
	close(fd);
	return result;
}

static u16 size_of(const struct pk_interface_address *address)
{
	return address->ipv6 ? IPV6_SIZE : IPV4_SIZE;
}

static u8 family_of(const struct pk_interface_address *address)
{
	return address->ipv6 ? AF_INET6 : AF_INET;
}

int pk_address_change(u32 interface, bool add, const struct pk_interface_address *address)
{
	struct request request;
	struct ifaddrmsg *body;

	body = begin(&request, add ? RTM_NEWADDR : RTM_DELADDR, NLM_F_ACK | (add ? NLM_F_CREATE | NLM_F_REPLACE : 0),
		     sizeof(*body));
	body->ifa_family = family_of(address);
	body->ifa_prefixlen = address->prefix_length;
	body->ifa_index = interface;
	put(&request, IFA_LOCAL, address->address, size_of(address));
	put(&request, IFA_ADDRESS, address->address, size_of(address));
	return ask(&request, NULL, NULL);
}

int pk_route_add(u32 interface, const struct pk_interface_address *destination, const u8 *gateway)
{
	struct request request;
	struct rtmsg *body;

	body = begin(&request, RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, sizeof(*body));
	body->rtm_family = family_of(destination);
	body->rtm_dst_len = destination->prefix_length;
	body->rtm_table = RT_TABLE_MAIN;
	body->rtm_protocol = RTPROT_DHCP;
	body->rtm_scope = gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
	body->rtm_type = RTN_UNICAST;
	if (destination->prefix_length)
		put(&request, RTA_DST, destination->address, size_of(destination));
	if (gateway)
		put(&request, RTA_GATEWAY, gateway, size_of(destination));
	put(&request, RTA_OIF, &interface, sizeof(interface));
	return ask(&request, NULL, NULL);
}

struct address_list {
	u32 interface;
	u32 capacity;
	u32 nr;
	struct pk_interface_address *found;
};

static int visit_address(const struct nlmsghdr *message, void *context)
{
	const struct ifaddrmsg *body = NLMSG_DATA(message);
	struct address_list *list = context;
	struct pk_interface_address *found = &list->found[list->nr];
	u32 size = (u32)IFA_PAYLOAD(message);

	if (message->nlmsg_type != RTM_NEWADDR || body->ifa_index != list->interface || list->nr == list->capacity)
		return 0;
	*found = (struct pk_interface_address){
		.ipv6 = body->ifa_family == AF_INET6,
		.prefix_length = body->ifa_prefixlen,
		.tentative = !!(body->ifa_flags & IFA_F_TENTATIVE),
		.link_local = body->ifa_scope == RT_SCOPE_LINK,
	};
	for (const struct rtattr *a = IFA_RTA(body); RTA_OK(a, size); a = RTA_NEXT(a, size))
		if (a->rta_type == IFA_ADDRESS && RTA_PAYLOAD(a) >= size_of(found))
			memcpy(found->address, RTA_DATA(a), size_of(found));
	list->nr++;
	return 0;
}

int pk_address_list(u32 interface, struct pk_interface_address *ret, u32 capacity)
{
	struct address_list list = { interface, capacity, 0, ret };
	struct request request;
	int result;

	begin(&request, RTM_GETADDR, NLM_F_DUMP, sizeof(struct ifaddrmsg));
	result = ask(&request, visit_address, &list);
	return result ? result : (int)list.nr;
}

struct router {
	u32 interface;
	struct pk_advertised *advertised;
};

static void visit_inet6(const struct rtattr *inet6, struct pk_advertised *ret)
{
	u32 size = (u32)RTA_PAYLOAD(inet6), flags;

	for (const struct rtattr *a = RTA_DATA(inet6); RTA_OK(a, size); a = RTA_NEXT(a, size)) {
		if (a->rta_type != IFLA_INET6_FLAGS || RTA_PAYLOAD(a) < sizeof(flags))
			continue;
		memcpy(&flags, RTA_DATA(a), sizeof(flags));
		*ret = (struct pk_advertised){
			.router = !!(flags & RA_RCVD),
			.managed = !!(flags & RA_MANAGED),
			.other = !!(flags & RA_OTHERCONF),
		};
	}
}

static int visit_link(const struct nlmsghdr *message, void *context)
{
	const struct ifinfomsg *body = NLMSG_DATA(message);
	const struct router *router = context;
	u32 size = (u32)IFLA_PAYLOAD(message);

	if (message->nlmsg_type != RTM_NEWLINK || (u32)body->ifi_index != router->interface)
		return 0;
	for (const struct rtattr *a = IFLA_RTA(body); RTA_OK(a, size); a = RTA_NEXT(a, size))
		if ((a->rta_type & NLA_TYPE_MASK) == IFLA_PROTINFO)
			visit_inet6(a, router->advertised);
	return 0;
}

int pk_router_advertised(u32 interface, struct pk_advertised *ret)
{
	struct pk_advertised found = { 0 };
	struct router router = { interface, &found };
	struct request request;
	struct ifinfomsg *body;
	int result;

	body = begin(&request, RTM_GETLINK, NLM_F_DUMP, sizeof(*body));
	body->ifi_family = AF_INET6;
	result = ask(&request, visit_link, &router);
	if (!result)
		*ret = found;
	return result;
}
