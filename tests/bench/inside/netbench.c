// SPDX-License-Identifier: Apache-2.0
/*
 * The traffic of csrc/payload/netbench.c, from Linux' sockets, and TCP:
 * "BENCH:tcp-out:<bytes>:<ticks>", "BENCH:tcp-in:<bytes>:<ticks>". The argument is
 * the port of the counterpart on the host.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/ip_icmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <payload/bench.h>

enum { TCP_CHUNK = 65536, IP_HEADER = 20, ECHO_ID = 0x706b };

static struct sockaddr_in host = { .sin_family = AF_INET };
static u8 chunk[TCP_CHUNK];

static u64 now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (u64)now.tv_sec * 1000 + (u64)now.tv_nsec / 1000000;
}

static void set_timeout(int fd, u32 ms)
{
	struct timeval timeout = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
}

static int connected(int type)
{
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&host, sizeof(host))) {
		perror("connect");
		exit(1);
	}
	return fd;
}

static int send_datagram(int fd, u32 op, u32 sequence, u32 count, u32 size)
{
	static u8 data[BENCH_UDP_SIZE];
	struct bench_datagram head = { op, sequence, count };

	memcpy(data, &head, sizeof(head));
	return send(fd, data, size, 0) == (ssize_t)size ? 0 : -errno;
}

/* Ask until there is an answer to it; its count. */
static int ask(int fd, u32 op, u32 *ret_count)
{
	static u32 sequence;
	struct bench_datagram answer;

	sequence++;
	for (u32 tries = 0; tries < 20; tries++) {
		send_datagram(fd, op, sequence, 0, sizeof(answer));
		while (recv(fd, &answer, sizeof(answer), 0) == sizeof(answer)) {
			if (answer.op != op || answer.sequence != sequence)
				continue;
			*ret_count = answer.count;
			return 0;
		}
	}
	fprintf(stderr, "the host does not answer\n");
	return -ETIMEDOUT;
}

static int udp_out(int fd)
{
	u32 came, nr;
	u64 start, until;
	int result = ask(fd, BENCH_START, &came);

	if (result)
		return result;
	start = bench_tsc();
	until = now_ms() + BENCH_UDP_MS;
	for (nr = 0; nr < BENCH_UDP_FRAMES && now_ms() < until; nr++) {
		result = send_datagram(fd, BENCH_DATA, nr, 0, BENCH_UDP_SIZE);
		if (result && result != -ENOBUFS)
			return result;
	}
	result = ask(fd, BENCH_COUNT, &came);
	if (!result)
		printf("BENCH:udp-out:%x:%x:%" PRIx64 "\n", nr, came, bench_tsc() - start);
	return result;
}

static int udp_in(int fd)
{
	u64 start = bench_tsc(), until = now_ms() + BENCH_UDP_MS;
	u32 came = 0, lost = 0, pending = 0;
	int result = 0;

	while (came < BENCH_UDP_FRAMES && now_ms() < until && !result) {
		while (pending <= BENCH_UDP_WANT && !result) {
			result = send_datagram(fd, BENCH_WANT, 0, BENCH_UDP_WANT, sizeof(struct bench_datagram));
			pending += BENCH_UDP_WANT;
		}
		if (recv(fd, chunk, sizeof(chunk), 0) > 0) {
			came++;
			pending--;
		} else {
			lost += pending;
			pending = 0;
		}
	}
	printf("BENCH:udp-in:%x:%x:%" PRIx64 "\n", came, lost, bench_tsc() - start);
	while (recv(fd, chunk, sizeof(chunk), 0) > 0)
		;
	return result;
}

static int tcp_out(void)
{
	u64 until = now_ms() + BENCH_TCP_MS;
	int fd = connected(SOCK_STREAM);
	u64 start = bench_tsc();
	u64 came = 0;
	int result = send(fd, "out", 4, 0) == 4 ? 0 : -EIO;

	while (!result && now_ms() < until)
		if (send(fd, chunk, sizeof(chunk), 0) < 0)
			result = -errno;
	shutdown(fd, SHUT_WR);
	/* What the host says that it has got is what counts. */
	if (!result && recv(fd, &came, sizeof(came), MSG_WAITALL) != sizeof(came))
		result = -EIO;
	if (!result)
		printf("BENCH:tcp-out:%" PRIx64 ":%" PRIx64 "\n", came, bench_tsc() - start);
	close(fd);
	return result;
}

static int tcp_in(void)
{
	int fd = connected(SOCK_STREAM);
	u64 start = bench_tsc();
	u64 came = 0;
	ssize_t size = send(fd, "in\0", 4, 0);

	while (size > 0) {
		size = recv(fd, chunk, sizeof(chunk), 0);
		came += size > 0 ? (u64)size : 0;
	}
	if (!size)
		printf("BENCH:tcp-in:%" PRIx64 ":%" PRIx64 "\n", came, bench_tsc() - start);
	close(fd);
	return size < 0 ? -errno : 0;
}

static u16 checksum(const void *data, u32 size)
{
	const u16 *words = data;
	u32 sum = 0;

	for (u32 i = 0; i < size / 2; i++)
		sum += words[i];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (u16)~sum;
}

/* Is the answer to sequence there before it is too late? */
static bool answered(int fd, u16 sequence)
{
	u64 until = now_ms() + BENCH_PING_LOST_MS;
	u8 packet[IP_HEADER + sizeof(struct icmphdr) + BENCH_PING_SIZE];
	struct icmphdr head;

	while (now_ms() < until) {
		if (recv(fd, packet, sizeof(packet), 0) < (ssize_t)(IP_HEADER + sizeof(head)))
			continue;
		memcpy(&head, packet + IP_HEADER, sizeof(head));
		if (head.type == ICMP_ECHOREPLY && head.un.echo.id == htons(ECHO_ID) &&
		    head.un.echo.sequence == htons(sequence))
			return true;
	}
	return false;
}

static int ping(u32 pause_us)
{
	int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
	u8 packet[sizeof(struct icmphdr) + BENCH_PING_SIZE];
	u64 ticks[BENCH_PINGS];
	u32 nr = 0;

	if (fd < 0)
		return -errno;
	set_timeout(fd, BENCH_PING_LOST_MS);
	for (u16 sequence = 0; sequence < BENCH_PINGS; sequence++) {
		struct icmphdr head = { .type = ICMP_ECHO, .un.echo = { htons(ECHO_ID), htons(sequence) } };
		struct timespec pause = { .tv_nsec = (long)pause_us * 1000 };
		u64 start = bench_tsc();

		memset(packet, 0, sizeof(packet));
		memcpy(packet, &head, sizeof(head));
		head.checksum = checksum(packet, sizeof(packet));
		memcpy(packet, &head, sizeof(head));
		sendto(fd, packet, sizeof(packet), 0, (struct sockaddr *)&host, sizeof(host));
		if (answered(fd, sequence))
			ticks[nr++] = bench_tsc() - start;
		nanosleep(&pause, NULL);
	}
	printf("BENCH:ping:%x:%x", pause_us, BENCH_PINGS - nr);
	for (u32 i = 0; i < nr; i++)
		printf(":%" PRIx64, ticks[i]);
	printf("\n");
	close(fd);
	return 0;
}

int main(int argc, char **argv)
{
	int result = 0;
	int fd;

	if (argc != 2)
		return 2;
	host.sin_port = htons((u16)atoi(argv[1]));
	host.sin_addr.s_addr = htonl(BENCH_HOST);
	fd = connected(SOCK_DGRAM);
	set_timeout(fd, BENCH_QUIET_MS);
	for (u32 round = 0; round < BENCH_ROUNDS && !result; round++) {
		result = udp_out(fd);
		if (!result)
			result = udp_in(fd);
		if (!result)
			result = tcp_out();
		if (!result)
			result = tcp_in();
	}
	if (!result)
		result = ping(BENCH_PING_BUSY_US);
	if (!result)
		result = ping(BENCH_PING_IDLE_US);
	if (result)
		fprintf(stderr, "netbench: %s\n", strerror(-result));
	printf("BENCH:end:%x\n", (u32)-result);
	return result ? 1 : 0;
}
