/* SPDX-License-Identifier: Apache-2.0 */
/* Ethernet, ARP, IPv4, ICMP echo and UDP: just enough for a benchmark (RFC 826, 791, 792, 768). */
#ifndef PK_PAYLOAD_PACKETS_H
#define PK_PAYLOAD_PACKETS_H

#include <pykexec/types.h>

enum {
	PK_PACKET_MAX		= 1514,
	PK_ETHERNET_HEADER	= 14,
	PK_IPV4_HEADER		= 20,
	PK_UDP_HEADER		= 8,
	PK_ECHO_HEADER		= 8,
};

/* Who talks to whom; addresses in host order. */
struct pk_link {
	u8 mac[6];
	u8 peer_mac[6];
	u32 ip;
	u32 peer_ip;
	u16 udp_port;	/* at both ends */
};

enum pk_packet_kind {
	PK_PACKET_OTHER,
	PK_PACKET_ARP_REQUEST,	/* for our address */
	PK_PACKET_ARP_REPLY,	/* link->peer_mac is set */
	PK_PACKET_ECHO_REPLY,
	PK_PACKET_UDP,		/* from the peer */
};

/* What has come; of an echo reply *ret_data is its sequence number, of UDP the offset of its data. */
enum pk_packet_kind pk_packet_parse(struct pk_link *link, const u8 *frame, u64 size, u32 *ret_data);

/* Each makes a frame and returns its size. */
u32 pk_packet_arp(const struct pk_link *link, u8 *frame, bool reply);
u32 pk_packet_echo(const struct pk_link *link, u8 *frame, u16 sequence, u32 data_size);
u32 pk_packet_udp(const struct pk_link *link, u8 *frame, const void *head, u32 head_size, u32 data_size);

#endif
