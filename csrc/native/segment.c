// SPDX-License-Identifier: Apache-2.0
/* TCP segments cut and joined as network cards do it (RFC 791, RFC 8200, RFC 9293). */
#include <linux/if_ether.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#include <native/segment.h>

enum {
	TAG_SIZE = 4,			/* IEEE 802.1Q */
	IPV4_SIZE = 20,
	IPV6_SIZE = 40,
	TCP_SIZE = 20,
	IPV4_TOTAL = 2,			/* offsets in their headers */
	IPV4_ID = 4,
	IPV4_FRAGMENT = 6,
	IPV4_PROTOCOL = 9,
	IPV4_CHECKSUM = 10,
	IPV4_ADDRESSES = 12,
	IPV6_PAYLOAD = 4,
	IPV6_NEXT = 6,
	IPV6_ADDRESSES = 8,
	TCP_SEQUENCE = 4,
	TCP_ACKNOWLEDGED = 8,
	TCP_OFFSET = 12,
	TCP_FLAGS = 13,
	TCP_WINDOW = 14,
	TCP_CHECKSUM = 16,
	FIN = 0x01,
	PSH = 0x08,
	ACK = 0x10,
	CWR = 0x80,
	DONT_FRAGMENT = 0x4000,
	PACKET_MAX = 65535,		/* of IP */
	JOINED_MAX = 64,
};
_Static_assert(sizeof(struct pk_packet_header) == sizeof(struct virtio_net_hdr), "struct virtio_net_hdr");
_Static_assert(offsetof(struct pk_packet_header, checksum_offset) == offsetof(struct virtio_net_hdr, csum_offset),
	       "struct virtio_net_hdr");

static u16 get16(const u8 *at)
{
	return (u16)(at[0] << 8 | at[1]);
}

static void put16(u8 *at, u32 value)
{
	at[0] = (u8)(value >> 8);
	at[1] = (u8)value;
}

static u32 get32(const u8 *at)
{
	return (u32)get16(at) << 16 | get16(at + 2);
}

static void put32(u8 *at, u32 value)
{
	put16(at, value >> 16);
	put16(at + 2, value);
}

/* The ones' complement sum (RFC 1071), in memory's byte order: eight bytes at a time. */
static u64 add(u64 sum, const u8 *data, u32 size)
{
	u64 word;

	for (; size >= sizeof(word); size -= sizeof(word), data += sizeof(word)) {
		memcpy(&word, data, sizeof(word));
		sum += word;
		sum += sum < word;
	}
	word = 0;
	memcpy(&word, data, size);
	sum += word;
	return sum + (sum < word);
}

static u16 fold(u64 sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (u16)sum;
}

static void put_sum(u8 *at, u16 sum)
{
	memcpy(at, &sum, sizeof(sum));
}

/* Sum of the pseudo header of a TCP segment of size bytes; ip is its IP header. */
static u64 pseudo_sum(const u8 *ip, u32 size)
{
	bool ipv6 = ip[0] >> 4 == 6;
	u8 rest[8] = { 0 };

	put32(rest, size);
	rest[7] = IPPROTO_TCP;
	return add(add(0, rest, sizeof(rest)), ip + (ipv6 ? IPV6_ADDRESSES : IPV4_ADDRESSES), ipv6 ? 32 : 8);
}

/* The sizes in an IP header, and its checksum, for size bytes from the IP header on. */
static void set_ip_size(u8 *ip, u32 size)
{
	u32 header = (u32)(ip[0] & 15) * 4;

	if (ip[0] >> 4 == 6) {
		put16(ip + IPV6_PAYLOAD, size - IPV6_SIZE);
		return;
	}
	put16(ip + IPV4_TOTAL, size);
	put16(ip + IPV4_CHECKSUM, 0);
	put_sum(ip + IPV4_CHECKSUM, (u16)~fold(add(0, ip, header)));
}

static u32 ip_offset(const u8 *frame)
{
	return get16(frame + 2 * ETH_ALEN) == ETH_P_8021Q ? ETH_HLEN + TAG_SIZE : ETH_HLEN;
}

bool pk_cut_begin(struct pk_cut *cut, const struct pk_packet_header *header, const u8 *packet, u32 size)
{
	u32 tcp = header->checksum_start, ip;

	*cut = (struct pk_cut){ .packet = packet, .size = size, .header = *header };
	if (size < ETH_HLEN)
		return false;
	if (header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM && tcp + header->checksum_offset + 2u > size)
		return false;
	if (header->gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return true;
	ip = ip_offset(packet);
	if (!header->gso_size || tcp < ip + IPV4_SIZE || tcp + TCP_SIZE > size)
		return false;
	if (packet[ip] >> 4 == 6 ? tcp < ip + IPV6_SIZE : tcp < ip + (packet[ip] & 15) * 4)
		return false;
	cut->header_size = tcp + (packet[tcp + TCP_OFFSET] >> 4) * 4;
	return cut->header_size >= tcp + TCP_SIZE && cut->header_size < size;
}

bool pk_cut_is_done(const struct pk_cut *cut)
{
	return cut->header_size + cut->done >= cut->size;
}

/* A whole frame; the checksum that Linux left to us, if any, is over what follows its start. */
static u32 whole(struct pk_cut *cut, u8 *out, u32 capacity)
{
	const struct pk_packet_header *header = &cut->header;
	u8 *checksum = out + header->checksum_start + header->checksum_offset;
	u16 sum;

	cut->done = cut->size;
	if (cut->size > capacity)
		return 0;
	memcpy(out, cut->packet, cut->size);
	if (header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		sum = (u16)~fold(add(0, out + header->checksum_start, cut->size - header->checksum_start));
		/* UDP knows a zero as "none". */
		put_sum(checksum, sum ? sum : 0xffff);
	}
	return cut->size;
}

u32 pk_cut_next(struct pk_cut *cut, u8 *out, u32 capacity)
{
	u32 left = cut->size - cut->header_size - cut->done;
	u32 payload = left < cut->header.gso_size ? left : cut->header.gso_size;
	u32 tcp = cut->header.checksum_start, size = cut->header_size + payload;
	u8 *ip;

	if (!cut->header_size)
		return whole(cut, out, capacity);
	if (size > capacity) {
		cut->done = cut->size;
		return 0;
	}
	memcpy(out, cut->packet, cut->header_size);
	memcpy(out + cut->header_size, cut->packet + cut->header_size + cut->done, payload);
	ip = out + ip_offset(out);
	if (ip[0] >> 4 == 4)
		put16(ip + IPV4_ID, get16(ip + IPV4_ID) + cut->done / cut->header.gso_size);
	set_ip_size(ip, (u32)(out + size - ip));
	put32(out + tcp + TCP_SEQUENCE, get32(out + tcp + TCP_SEQUENCE) + cut->done);
	if (payload < left)
		out[tcp + TCP_FLAGS] &= (u8)~(FIN | PSH);
	if (cut->done)
		out[tcp + TCP_FLAGS] &= (u8)~CWR;
	put16(out + tcp + TCP_CHECKSUM, 0);
	put_sum(out + tcp + TCP_CHECKSUM, (u16)~fold(add(pseudo_sum(ip, size - tcp), out + tcp, size - tcp)));
	cut->done += payload;
	return size;
}

/* A frame of a TCP stream: where things are in it. */
struct segment {
	u8 bytes[160];		/* a copy of its headers */
	u32 tcp;
	u32 header_size;
	u32 payload_size;
};

/* Is it TCP without anything unusual, whole and intact? */
static bool parse(const u8 *frame, u32 size, struct segment *ret)
{
	u32 copied = size < sizeof(ret->bytes) ? size : sizeof(ret->bytes), end;
	u8 *ip = ret->bytes + ETH_HLEN;

	if (size < ETH_HLEN + IPV4_SIZE + TCP_SIZE)
		return false;
	memcpy(ret->bytes, frame, copied);
	if (get16(ret->bytes + 2 * ETH_ALEN) == ETH_P_IP && ip[0] == 0x45) {
		ret->tcp = ETH_HLEN + IPV4_SIZE;
		end = ETH_HLEN + get16(ip + IPV4_TOTAL);
		if (ip[IPV4_PROTOCOL] != IPPROTO_TCP || get16(ip + IPV4_FRAGMENT) & ~DONT_FRAGMENT ||
		    fold(add(0, ip, IPV4_SIZE)) != 0xffff)
			return false;
	} else if (get16(ret->bytes + 2 * ETH_ALEN) == ETH_P_IPV6 && ip[0] >> 4 == 6) {
		ret->tcp = ETH_HLEN + IPV6_SIZE;
		end = ret->tcp + get16(ip + IPV6_PAYLOAD);
		if (ip[IPV6_NEXT] != IPPROTO_TCP)
			return false;
	} else {
		return false;
	}
	if (end > size || end < ret->tcp + TCP_SIZE || copied < ret->tcp + TCP_SIZE)
		return false;
	ret->header_size = ret->tcp + (ret->bytes[ret->tcp + TCP_OFFSET] >> 4) * 4;
	if (ret->header_size < ret->tcp + TCP_SIZE || ret->header_size > end || ret->header_size > copied)
		return false;
	ret->payload_size = end - ret->header_size;
	if ((ret->bytes[ret->tcp + TCP_FLAGS] & ~PSH) != ACK)
		return false;
	return fold(add(pseudo_sum(ip, end - ret->tcp), frame + ret->tcp, end - ret->tcp)) == 0xffff;
}

static bool same(const struct segment *first, const struct segment *next, u32 offset, u32 size)
{
	return !memcmp(first->bytes + offset, next->bytes + offset, size);
}

/* Between the same ends, in the same class of service? */
static bool same_stream(const struct segment *first, const struct segment *next)
{
	u32 tcp = first->tcp;

	if (next->tcp != tcp || next->header_size != first->header_size || !same(first, next, 0, ETH_HLEN))
		return false;
	if (tcp == ETH_HLEN + IPV6_SIZE) {
		/* All but the size. */
		if (!same(first, next, ETH_HLEN, IPV6_PAYLOAD) ||
		    !same(first, next, ETH_HLEN + IPV6_NEXT, IPV6_SIZE - IPV6_NEXT))
			return false;
	} else {
		/* Version and type of service; time to live, protocol; addresses. */
		if (!same(first, next, ETH_HLEN, IPV4_TOTAL) || !same(first, next, ETH_HLEN + IPV4_PROTOCOL - 1, 2) ||
		    !same(first, next, ETH_HLEN + IPV4_ADDRESSES, 8))
			return false;
	}
	return same(first, next, tcp, TCP_SEQUENCE);	/* ports */
}

/* Does next go on exactly where size bytes of payload behind first end, all else being equal? */
static bool continues(const struct segment *first, u32 size, const struct segment *next)
{
	u32 tcp = first->tcp;

	/* Acknowledgement; window; options. */
	if (!same_stream(first, next) || !same(first, next, tcp + TCP_ACKNOWLEDGED, 4) ||
	    !same(first, next, tcp + TCP_WINDOW, 2) ||
	    !same(first, next, tcp + TCP_SIZE, first->header_size - tcp - TCP_SIZE))
		return false;
	return get32(next->bytes + tcp + TCP_SEQUENCE) == get32(first->bytes + tcp + TCP_SEQUENCE) + size;
}

static void finish(const struct segment *first, u32 size, struct pk_joined *ret)
{
	u8 *ip = ret->bytes + ETH_HLEN;
	bool ipv6 = ip[0] >> 4 == 6;

	ret->header_size = first->header_size;
	ret->header = (struct pk_packet_header){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,	/* it was right, and Linux need not look again */
		.gso_type = ipv6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4,
		.header_size = (u16)first->header_size,
		.gso_size = (u16)first->payload_size,
		.checksum_start = (u16)first->tcp,
		.checksum_offset = TCP_CHECKSUM,
	};
	set_ip_size(ip, first->header_size - ETH_HLEN + size);
	put_sum(ret->bytes + first->tcp + TCP_CHECKSUM,
		fold(pseudo_sum(ip, first->header_size - first->tcp + size)));
}

u32 pk_join(const u8 *frames, u32 stride, const u16 *sizes, u32 nr, struct pk_joined *ret)
{
	struct segment first, next;
	u32 size, joined;

	if (nr < 2 || !parse(frames, sizes[0], &first) || !first.payload_size)
		return 0;
	memcpy(ret->bytes, first.bytes, sizeof(ret->bytes));
	ret->payload_size[0] = (u16)first.payload_size;
	size = first.payload_size;
	next = first;
	for (joined = 1; joined < nr && joined < JOINED_MAX; joined++) {
		/* The end of what was written at once, or a short one: nothing may follow it. */
		if (next.bytes[next.tcp + TCP_FLAGS] & PSH || next.payload_size < first.payload_size)
			break;
		if (!parse(frames + joined * stride, sizes[joined], &next) || !continues(&first, size, &next) ||
		    !next.payload_size || next.payload_size > first.payload_size ||
		    first.header_size - ETH_HLEN + size + next.payload_size > PACKET_MAX)
			break;
		ret->payload_size[joined] = (u16)next.payload_size;
		ret->bytes[first.tcp + TCP_FLAGS] |= next.bytes[next.tcp + TCP_FLAGS];
		size += next.payload_size;
	}
	if (joined >= 2)
		finish(&first, size, ret);
	return joined;
}

/* Nothing but an acknowledgement: without options, or with a timestamp, as RFC 7323 lays it out. */
static bool is_pure(const struct segment *segment)
{
	static const u8 timestamp[] = { 1, 1, 8, 10 };
	u32 options = segment->tcp + TCP_SIZE, size = segment->header_size - options;

	return !segment->payload_size && segment->bytes[segment->tcp + TCP_FLAGS] == ACK &&
	       (!size || (size == 12 && !memcmp(segment->bytes + options, timestamp, sizeof(timestamp))));
}

bool pk_supersedes(const u8 *frame, u32 size, const u8 *next_frame, u32 next_size)
{
	struct segment segment, next;
	u32 sequence, acknowledged, advance;

	if (!parse(frame, size, &segment) || !parse(next_frame, next_size, &next) || !is_pure(&segment) ||
	    !is_pure(&next) || segment.header_size != next.header_size || !same_stream(&segment, &next))
		return false;
	sequence = segment.tcp + TCP_SEQUENCE;
	acknowledged = segment.tcp + TCP_ACKNOWLEDGED;
	advance = get32(next.bytes + acknowledged) - get32(segment.bytes + acknowledged);
	/* The same once more tells of a loss: it must arrive. */
	return same(&segment, &next, sequence, 4) && advance && advance < 1u << 31;
}
