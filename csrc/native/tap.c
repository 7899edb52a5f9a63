// SPDX-License-Identifier: Apache-2.0
/* The loop of a network bridge: TAP frames to the firmware's NIC and back, polled as often as it pays. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <native/segment.h>
#include <native/tap.h>

enum {
	ADDRESS_SIZE = 6,
	PACKET_SIZE = 65536 + 64,	/* of IP, and what is before it */
	HEADER_SIZE = 14,
	TRANSMIT = PK_NET_FRAMES,
	RECEIVE = PK_NET_FRAMES + PK_NET_SLOTS * PK_NET_SLOT_SIZE,
	/* Polling pauses: from the first to the last, a fraction of the time since a frame came or went. */
	PAUSE_MIN_NS = 50 * 1000,
	PAUSE_MAX_NS = 10 * 1000 * 1000,
	/* An idle bridge must cost next to nothing; then the first frame from outside may wait. */
	PAUSE_IDLE_NS = 25 * 1000 * 1000,
	IDLE_NS = 1000 * 1000 * 1000,
	PAUSE_FRACTION = 4,
	/* As long as a NIC may hold our frames before they are stale. */
	STUCK_NS = 500 * 1000 * 1000,
	SECOND_NS = 1000 * 1000 * 1000,
};

struct bridge {
	struct pk_port *port;
	u8 *data;
	u32 handle;
	u32 frame_max;
	int tap_fd;
	u32 nr_waiting;		/* frames in the first transmit slots */
	u16 sizes[PK_NET_SLOTS];
	struct pk_cut cut;	/* what is being cut into frames, from packet */
	u8 packet[PACKET_SIZE];
	int carrier;		/* as the TAP was told; -1: nothing yet */
};

static int set(int fd, struct ifreq *request, unsigned long command)
{
	return ioctl(fd, command, request) ? -errno : 0;
}

/* Address and MTU, by any socket; an interface that a dead bridge left behind keeps what it has. */
static int configure(struct ifreq *request, const u8 *address, u32 mtu)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int result;

	if (fd < 0)
		return -errno;
	result = set(fd, request, SIOCGIFHWADDR);
	if (!result && memcmp(request->ifr_hwaddr.sa_data, address, ADDRESS_SIZE)) {
		request->ifr_hwaddr.sa_family = ARPHRD_ETHER;
		memcpy(request->ifr_hwaddr.sa_data, address, ADDRESS_SIZE);
		result = set(fd, request, SIOCSIFHWADDR);
	}
	request->ifr_mtu = (int)mtu;
	if (!result)
		result = set(fd, request, SIOCSIFMTU);
	close(fd);
	return result;
}

static int set_carrier(int tap_fd, int carrier)
{
	return ioctl(tap_fd, TUNSETCARRIER, &carrier) ? -errno : 0;
}

int pk_tap_open(const char *name, const u8 *address, u32 mtu)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int result, fd;

	if (strlen(name) >= sizeof(request.ifr_name))
		return -EINVAL;
	strcpy(request.ifr_name, name);
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	result = set(fd, &request, TUNSETIFF);
	/* Packets come before they are cut into segments and have their checksums. */
	if (!result && ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN))
		result = -errno;
	if (!result)
		result = configure(&request, address, mtu);
	if (!result)
		result = set_carrier(fd, 0);
	if (!result && ioctl(fd, TUNSETPERSIST, 1))
		result = -errno;
	if (result) {
		close(fd);
		return result;
	}
	return fd;
}

void pk_tap_close(int tap_fd)
{
	ioctl(tap_fd, TUNSETPERSIST, 0);
	close(tap_fd);
}

static u64 now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (u64)now.tv_sec * SECOND_NS + (u64)now.tv_nsec;
}

static u8 *transmit_slot(const struct bridge *bridge, u32 number)
{
	return bridge->data + TRANSMIT + number * PK_NET_SLOT_SIZE;
}

/* The next packet of the TAP; -EAGAIN if there is none. */
static int read_packet(struct bridge *bridge)
{
	struct pk_packet_header header;
	struct iovec parts[] = {
		{ &header, sizeof(header) },
		{ bridge->packet, sizeof(bridge->packet) },
	};
	ssize_t size = readv(bridge->tap_fd, parts, 2);

	if (size < 0)
		return -errno;
	if ((size_t)size < sizeof(header) ||
	    !pk_cut_begin(&bridge->cut, &header, bridge->packet, (u32)size - sizeof(header)))
		bridge->cut = (struct pk_cut){ 0 };
	return 0;
}

/* Fill the transmit slots from the TAP. */
static int read_frames(struct bridge *bridge)
{
	while (bridge->nr_waiting < PK_NET_SLOTS) {
		u32 size;
		int result;

		if (pk_cut_is_done(&bridge->cut)) {
			result = read_packet(bridge);
			if (result == -EAGAIN)
				break;
			if (result && result != -EINTR)
				return result;
			continue;
		}
		/* The firmware refuses all of an exchange for one frame that is too large (a VLAN's, for example). */
		size = pk_cut_next(&bridge->cut, transmit_slot(bridge, bridge->nr_waiting), bridge->frame_max);
		if (size >= HEADER_SIZE)
			bridge->sizes[bridge->nr_waiting++] = (u16)size;
	}
	return 0;
}

/* Those that the NIC did not take move to the front. */
static void drop_sent(struct bridge *bridge, u32 nr_sent)
{
	bridge->nr_waiting -= nr_sent;
	for (u32 i = 0; i < bridge->nr_waiting; i++) {
		bridge->sizes[i] = bridge->sizes[i + nr_sent];
		memcpy(transmit_slot(bridge, i), transmit_slot(bridge, i + nr_sent), bridge->sizes[i]);
	}
}

static u8 *receive_slot(const struct bridge *bridge, u32 number)
{
	return bridge->data + RECEIVE + number * PK_NET_SLOT_SIZE;
}

/* An interface that is down, or full, loses frames as any does. */
static int put(struct bridge *bridge, const struct iovec *parts, u32 nr_parts)
{
	return writev(bridge->tap_fd, parts, (int)nr_parts) < 0 && errno == EBADFD ? -EBADFD : 0;
}

static int write_joined(struct bridge *bridge, u32 first, u32 nr, struct pk_joined *joined)
{
	struct iovec parts[2 + PK_NET_SLOTS] = {
		{ &joined->header, sizeof(joined->header) },
		{ joined->bytes, joined->header_size },
	};

	for (u32 i = 0; i < nr; i++)
		parts[2 + i] = (struct iovec){
			receive_slot(bridge, first + i) + joined->header_size,
			joined->payload_size[i],
		};
	return put(bridge, parts, 2 + nr);
}

static int write_frame(struct bridge *bridge, u32 number, u16 size)
{
	struct pk_packet_header header = { 0 };
	struct iovec parts[] = {
		{ &header, sizeof(header) },
		{ receive_slot(bridge, number), size },
	};

	return put(bridge, parts, 2);
}

static int write_frames(struct bridge *bridge, const struct pk_net_exchange *answer)
{
	struct pk_joined joined;
	int result = 0;

	for (u32 i = 0; i < answer->nr_receive; i++)
		if (answer->receive_size[i] > PK_NET_SLOT_SIZE)
			return -EPROTO;
	for (u32 i = 0, nr; i < answer->nr_receive && !result; i += nr) {
		nr = 1;
		if (i + 1 < answer->nr_receive &&
		    pk_supersedes(receive_slot(bridge, i), answer->receive_size[i], receive_slot(bridge, i + 1),
				  answer->receive_size[i + 1]))
			continue;
		nr = pk_join(receive_slot(bridge, i), PK_NET_SLOT_SIZE, answer->receive_size + i,
			     answer->nr_receive - i, &joined);
		if (nr >= 2) {
			result = write_joined(bridge, i, nr, &joined);
		} else {
			nr = 1;
			result = write_frame(bridge, i, answer->receive_size[i]);
		}
	}
	return result;
}

/* One bell: what waits goes out, what came comes in. */
static int exchange(struct bridge *bridge, bool *ret_traffic)
{
	struct pk_net_exchange *shared = (struct pk_net_exchange *)bridge->data;
	struct pk_descriptor descriptor = {
		.op = PK_OP_NET_EXCHANGE,
		.handle = bridge->handle,
		.size = TRANSMIT + bridge->nr_waiting * PK_NET_SLOT_SIZE,
		.capacity = PK_NET_EXCHANGE_SIZE,
	};
	struct pk_net_exchange answer;
	int result;

	shared->nr_transmit = bridge->nr_waiting;
	shared->nr_receive = PK_NET_SLOTS;
	memcpy(shared->transmit_size, bridge->sizes, sizeof(bridge->sizes));
	result = pk_port_transfer(bridge->port, &descriptor, 1);
	if (!result)
		result = -pk_status_errno(descriptor.status);
	if (result)
		return result;
	answer = *shared;
	if (answer.nr_transmit > bridge->nr_waiting || answer.nr_receive > PK_NET_SLOTS)
		return -EPROTO;
	*ret_traffic = answer.nr_transmit || answer.nr_receive;
	drop_sent(bridge, answer.nr_transmit);
	if (bridge->carrier != (int)answer.media_present) {
		bridge->carrier = (int)answer.media_present;
		result = set_carrier(bridge->tap_fd, bridge->carrier);
		if (result)
			return result;
	}
	return write_frames(bridge, &answer);
}

/* Sleep until there is something to do, or until it is time to ask the NIC. */
static int pause_until(const struct bridge *bridge, int stop_fd, u64 idle_ns, bool *ret_stop)
{
	struct pollfd fds[] = {
		{ .fd = stop_fd, .events = POLLIN },
		/* While the NIC is behind, more frames are no reason to wake. */
		{ .fd = bridge->nr_waiting ? -1 : bridge->tap_fd, .events = POLLIN },
	};
	u64 pause_ns = idle_ns / PAUSE_FRACTION;
	struct timespec timeout = { 0 };

	if (idle_ns) {
		if (pause_ns < PAUSE_MIN_NS)
			pause_ns = PAUSE_MIN_NS;
		if (pause_ns > PAUSE_MAX_NS)
			pause_ns = idle_ns < IDLE_NS ? PAUSE_MAX_NS : PAUSE_IDLE_NS;
		timeout.tv_nsec = (long)pause_ns;
	}
	if (ppoll(fds, 2, &timeout, NULL) < 0 && errno != EINTR)
		return -errno;
	*ret_stop = fds[0].revents;
	return 0;
}

int pk_tap_serve(struct pk_port *port, u32 handle, u32 mtu, int tap_fd, int stop_fd)
{
	/* Large; each bridge has a process of its own. */
	static struct bridge bridge;
	u64 last_ns = now_ns(), idle_ns = 0;

	bridge = (struct bridge){
		.port = port,
		.data = pk_port_data(port),
		.handle = handle,
		.frame_max = mtu + HEADER_SIZE < PK_NET_SLOT_SIZE ? mtu + HEADER_SIZE : PK_NET_SLOT_SIZE,
		.tap_fd = tap_fd,
		.carrier = -1,
	};
	for (;;) {
		bool traffic = false, stop = false;
		int result;

		result = pause_until(&bridge, stop_fd, idle_ns, &stop);
		if (result || stop)
			return result;
		result = read_frames(&bridge);
		if (!result)
			result = exchange(&bridge, &traffic);
		if (result)
			return result;
		if (traffic)
			last_ns = now_ns();
		idle_ns = traffic ? 0 : now_ns() - last_ns;
		if (idle_ns > STUCK_NS)
			bridge.nr_waiting = 0;
	}
}
