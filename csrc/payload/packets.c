// SPDX-License-Identifier: Apache-2.0
/* Frames made and recognised for the network benchmark. */
#include <common/mem.h>
#include <payload/packets.h>

enum {
	TYPE_IPV4	= 0x0800,
	TYPE_ARP	= 0x0806,
	ARP_SIZE	= 28,
	ARP_REQUEST	= 1,
	ARP_REPLY	= 2,
	IP_ICMP		= 1,
	IP_UDP		= 17,
	IP_TTL		= 64,
	ECHO_REPLY	= 0,
	ECHO_REQUEST	= 8,
	ECHO_ID		= 0x706b,
	DATA		= PK_ETHERNET_HEADER + PK_IPV4_HEADER,
};

static u16 get16(const u8 *p)
{
	return (u16)(p[0] << 8 | p[1]);
}

static u32 get32(const u8 *p)
{
	return (u32)get16(p) << 16 | get16(p + 2);
}

static void put16(u8 *p, u32 value)
{
	p[0] = (u8)(value >> 8);
	p[1] = (u8)value;
}

static void put32(u8 *p, u32 value)
{
	put16(p, value >> 16);
	put16(p + 2, value);
}

static u16 checksum(const u8 *data, u32 size)
{
	u32 sum = 0;

	for (u32 i = 0; i < size; i += 2)
		sum += (u32)data[i] << 8 | (i + 1 < size ? data[i + 1] : 0);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (u16)~sum;
}

enum pk_packet_kind pk_packet_parse(struct pk_link *link, const u8 *frame, u64 size, u32 *ret_data)
{
	const u8 *body = frame + PK_ETHERNET_HEADER;

	if (size < DATA + PK_UDP_HEADER)
		return PK_PACKET_OTHER;
	if (get16(frame + 12) == TYPE_ARP) {
		if (get32(body + 24) != link->ip || get32(body + 14) != link->peer_ip)
			return PK_PACKET_OTHER;
		if (get16(body + 6) == ARP_REQUEST)
			return PK_PACKET_ARP_REQUEST;
		memcpy(link->peer_mac, body + 8, sizeof(link->peer_mac));
		return PK_PACKET_ARP_REPLY;
	}
	if (get16(frame + 12) != TYPE_IPV4 || body[0] != 0x45 || get32(body + 12) != link->peer_ip ||
	    get32(body + 16) != link->ip)
		return PK_PACKET_OTHER;
	body += PK_IPV4_HEADER;
	if (frame[PK_ETHERNET_HEADER + 9] == IP_ICMP && body[0] == ECHO_REPLY && get16(body + 4) == ECHO_ID) {
		*ret_data = get16(body + 6);
		return PK_PACKET_ECHO_REPLY;
	}
	if (frame[PK_ETHERNET_HEADER + 9] == IP_UDP && get16(body) == link->udp_port) {
		*ret_data = DATA + PK_UDP_HEADER;
		return PK_PACKET_UDP;
	}
	return PK_PACKET_OTHER;
}

static void put_ethernet(const u8 *to, const u8 *from, u32 type, u8 *frame)
{
	memcpy(frame, to, 6);
	memcpy(frame + 6, from, 6);
	put16(frame + 12, type);
}

u32 pk_packet_arp(const struct pk_link *link, u8 *frame, bool reply)
{
	static const u8 everybody[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	u8 *body = frame + PK_ETHERNET_HEADER;

	memset(frame, 0, PK_ETHERNET_HEADER + ARP_SIZE);
	put_ethernet(reply ? link->peer_mac : everybody, link->mac, TYPE_ARP, frame);
	put16(body, 1);		/* Ethernet */
	put16(body + 2, TYPE_IPV4);
	body[4] = 6;
	body[5] = 4;
	put16(body + 6, reply ? ARP_REPLY : ARP_REQUEST);
	memcpy(body + 8, link->mac, 6);
	put32(body + 14, link->ip);
	if (reply)
		memcpy(body + 18, link->peer_mac, 6);
	put32(body + 24, link->peer_ip);
	return PK_ETHERNET_HEADER + ARP_SIZE;
}

static u32 put_ip(const struct pk_link *link, u8 *frame, u8 protocol, u32 size)
{
	u8 *body = frame + PK_ETHERNET_HEADER;

	put_ethernet(link->peer_mac, link->mac, TYPE_IPV4, frame);
	memset(body, 0, PK_IPV4_HEADER);
	body[0] = 0x45;
	put16(body + 2, PK_IPV4_HEADER + size);
	body[8] = IP_TTL;
	body[9] = protocol;
	put32(body + 12, link->ip);
	put32(body + 16, link->peer_ip);
	put16(body + 10, checksum(body, PK_IPV4_HEADER));
	return DATA + size;
}

u32 pk_packet_echo(const struct pk_link *link, u8 *frame, u16 sequence, u32 data_size)
{
	u8 *body = frame + DATA;

	memset(body, 0, PK_ECHO_HEADER + data_size);
	body[0] = ECHO_REQUEST;
	put16(body + 4, ECHO_ID);
	put16(body + 6, sequence);
	put16(body + 2, checksum(body, PK_ECHO_HEADER + data_size));
	return put_ip(link, frame, IP_ICMP, PK_ECHO_HEADER + data_size);
}

u32 pk_packet_udp(const struct pk_link *link, u8 *frame, const void *head, u32 head_size, u32 data_size)
{
	u8 *body = frame + DATA;

	put16(body, link->udp_port);
	put16(body + 2, link->udp_port);
	put16(body + 4, PK_UDP_HEADER + data_size);
	/* None: a NIC with offloading does not compute it either. */
	put16(body + 6, 0);
	memcpy(body + PK_UDP_HEADER, head, head_size);
	memset(body + PK_UDP_HEADER + head_size, 0, data_size - head_size);
	return put_ip(link, frame, IP_UDP, PK_UDP_HEADER + data_size);
}
