// SPDX-License-Identifier: Apache-2.0
/* NBD: the loop between the kernel's socket and the firmware. */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/nbd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <native/nbd.h>

enum {
	NR_REQUESTS = PK_CHANNEL_DEPTH,
	DATA_ALIGNMENT = 4096,
	SOCKET_BUFFER = 4194304,
};

struct waiting {
	u8 cookie[sizeof(((struct nbd_request *)NULL)->handle)];
};

struct loop {
	struct pk_disk *disk;
	int socket;
	u8 ahead[NR_REQUESTS * sizeof(struct nbd_request)];	/* read with one call: heads, and what comes between */
	u64 ahead_start;
	u64 ahead_end;
	bool is_empty;			/* the socket, when it was last read */
	struct nbd_request head;	/* read, but not taken in yet */
	bool has_head;
	struct pk_disk_request requests[NR_REQUESTS];
	struct waiting waiting[NR_REQUESTS];	/* by the requests' tags */
	u32 nr_requests;
	u64 used;			/* of the data area */
};

/* At most size bytes of the socket: how many, 0 when there are none yet and wait is false; -EPIPE: it is closed. */
static ssize_t receive_some(int fd, void *data, u64 size, int flags)
{
	for (;;) {
		ssize_t got = recv(fd, data, size, flags);

		if (got > 0)
			return got;
		if (got < 0 && errno == EINTR)
			continue;
		return got < 0 && errno == EAGAIN ? 0 : -EPIPE;
	}
}

/* The next head: 1 when it is there, 0 when it has not come yet, or -EPIPE. */
static int receive_head(struct loop *loop, bool wait)
{
	u64 rest;

	while ((rest = loop->ahead_end - loop->ahead_start) < sizeof(loop->head)) {
		ssize_t got;

		if (!wait && !rest && loop->is_empty)
			return 0;
		memmove(loop->ahead, loop->ahead + loop->ahead_start, rest);
		/* Of what has begun to come the rest follows. */
		got = receive_some(loop->socket, loop->ahead + rest, sizeof(loop->ahead) - rest,
				   wait || rest ? 0 : MSG_DONTWAIT);
		if (got < 0)
			return (int)got;
		loop->ahead_start = 0;
		loop->ahead_end = rest + (u64)got;
		loop->is_empty = loop->ahead_end < sizeof(loop->ahead);
	}
	memcpy(&loop->head, loop->ahead + loop->ahead_start, sizeof(loop->head));
	loop->ahead_start += sizeof(loop->head);
	return 1;
}

/* What follows a head. 0 or -EPIPE. */
static int receive(struct loop *loop, u8 *data, u64 size)
{
	u64 done = loop->ahead_end - loop->ahead_start;

	if (done > size)
		done = size;
	memcpy(data, loop->ahead + loop->ahead_start, done);
	loop->ahead_start += done;
	while (done < size) {
		ssize_t got = receive_some(loop->socket, data + done, size - done, MSG_WAITALL);

		if (got < 0)
			return (int)got;
		done += (u64)got;
		loop->is_empty = false;
	}
	return 0;
}

/* Answers that go out together: each but the last wakes nobody. */
struct answers {
	struct nbd_reply heads[NR_REQUESTS];
	struct iovec parts[2 * NR_REQUESTS];
	u32 nr_heads;
	u32 nr_parts;
};

static void answer(struct answers *answers, const void *cookie, int error, const u8 *data, u64 size)
{
	struct nbd_reply *head = &answers->heads[answers->nr_heads++];

	*head = (struct nbd_reply){ .magic = htonl(NBD_REPLY_MAGIC), .error = htonl((u32)error) };
	memcpy(&head->handle, cookie, sizeof(head->handle));
	answers->parts[answers->nr_parts++] = (struct iovec){ head, sizeof(*head) };
	if (size)
		answers->parts[answers->nr_parts++] = (struct iovec){ (void *)data, size };
}

static int send_answers(struct loop *loop, struct answers *answers)
{
	struct msghdr message = { .msg_iov = answers->parts, .msg_iovlen = answers->nr_parts };

	while (message.msg_iovlen) {
		ssize_t sent = sendmsg(loop->socket, &message, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return -EPIPE;
		while (message.msg_iovlen && (u64)sent >= message.msg_iov->iov_len) {
			sent -= (ssize_t)message.msg_iov->iov_len;
			message.msg_iov++;
			message.msg_iovlen--;
		}
		if (message.msg_iovlen) {
			message.msg_iov->iov_base = (u8 *)message.msg_iov->iov_base + sent;
			message.msg_iov->iov_len -= (u64)sent;
		}
	}
	return 0;
}

static int reply(struct loop *loop, const void *cookie, int error, const u8 *data, u64 size)
{
	struct answers answers = { 0 };

	answer(&answers, cookie, error, data, size);
	return send_answers(loop, &answers);
}

/* A request that has more data than there is room: piece by piece, with nothing else going on. */
static int serve_large(struct loop *loop, struct pk_disk_request *request, const void *cookie)
{
	u8 *data = pk_port_data(loop->disk->port);
	u64 room = pk_disk_room(loop->disk) / DATA_ALIGNMENT * DATA_ALIGNMENT;
	u64 end = request->start + request->size;
	bool writes = request->op == PK_OP_BLOCK_WRITE;
	int error = 0;
	int result;

	/* A reply tells at its beginning whether it is one: what is read must have been read before. */
	u8 *whole = writes ? NULL : malloc(request->size);

	if (!room || (!writes && !whole)) {
		free(whole);
		return writes ? -ENOMEM : reply(loop, cookie, EIO, NULL, 0);
	}
	for (u64 at = request->start; at < end;) {
		struct pk_disk_request part = { .op = request->op, .start = at };

		part.size = end - at < room ? end - at : room;
		result = writes ? receive(loop, data, part.size) : 0;
		if (result)
			goto out;
		if (!error) {
			result = pk_disk_serve(loop->disk, &part, 1);
			if (result < 0)
				goto out;
			error = -part.result;
		}
		if (!writes)
			memcpy(whole + (at - request->start), data, part.size);
		at += part.size;
	}
	result = reply(loop, cookie, error, whole, writes || error ? 0 : request->size);
out:
	free(whole);
	return result;
}

/* Take in the request whose head was read. 1: done; 0: no room before others are served; or -errno. */
static int take_in(struct loop *loop)
{
	const struct nbd_request *head = &loop->head;
	u32 command = ntohl(head->type) & 0xffff;
	u64 room = pk_disk_room(loop->disk);
	struct pk_disk_request request = { .start = be64toh(head->from), .size = ntohl(head->len) };
	const struct pk_disk_request *before = loop->nr_requests ? &loop->requests[loop->nr_requests - 1] : NULL;
	u64 used = loop->used;
	int result;

	if (head->magic != htonl(NBD_REQUEST_MAGIC))
		return -EPROTO;
	switch (command) {
	case NBD_CMD_READ: request.op = PK_OP_BLOCK_READ; break;
	case NBD_CMD_WRITE: request.op = PK_OP_BLOCK_WRITE; break;
	case NBD_CMD_FLUSH: request.op = PK_OP_BLOCK_FLUSH; request.size = 0; break;
	case NBD_CMD_DISC: return -ESHUTDOWN;
	default: return reply(loop, head->handle, EOPNOTSUPP, NULL, 0) ?: 1;
	}
	if (!before || before->op != request.op || before->start + before->size != request.start)
		used = (used + DATA_ALIGNMENT - 1) / DATA_ALIGNMENT * DATA_ALIGNMENT;
	if (used > room || request.size > room - used) {
		if (loop->nr_requests)
			return 0;
		result = serve_large(loop, &request, head->handle);
		return result < 0 ? result : 1;
	}
	request.tag = (u16)loop->nr_requests;
	request.data = used;
	if (request.op == PK_OP_BLOCK_WRITE) {
		result = receive(loop, pk_port_data(loop->disk->port) + used, request.size);
		if (result)
			return result;
	}
	memcpy(loop->waiting[request.tag].cookie, head->handle, sizeof(loop->waiting[0].cookie));
	loop->requests[loop->nr_requests++] = request;
	loop->used = used + request.size;
	return 1;
}

/* Everything that has come and has room; waits for the first. 0 or -errno. */
static int collect(struct loop *loop)
{
	int result = 1;

	while (result == 1 && loop->nr_requests < NR_REQUESTS) {
		if (!loop->has_head) {
			result = receive_head(loop, !loop->nr_requests);
			loop->has_head = result == 1;
		}
		if (loop->has_head) {
			result = take_in(loop);
			loop->has_head = result == 0;
		}
	}
	return result < 0 ? result : 0;
}

static int serve_all(struct loop *loop)
{
	const u8 *data = pk_port_data(loop->disk->port);
	int result = 0;

	for (u32 done = 0; done < loop->nr_requests && result >= 0;) {
		int nr_served = pk_disk_serve(loop->disk, loop->requests + done, loop->nr_requests - done);
		struct answers answers = { 0 };

		for (int i = 0; i < nr_served; i++) {
			const struct pk_disk_request *request = &loop->requests[done + (u32)i];
			bool carries = request->op == PK_OP_BLOCK_READ && !request->result;

			answer(&answers, loop->waiting[request->tag].cookie, -request->result,
			       data + request->data, carries ? request->size : 0);
		}
		result = nr_served < 0 ? nr_served : send_answers(loop, &answers);
		done += nr_served > 0 ? (u32)nr_served : 0;
	}
	loop->nr_requests = 0;
	loop->used = 0;
	/* Time has passed. */
	loop->is_empty = false;
	return result < 0 ? result : 0;
}

int pk_nbd_serve(struct pk_disk *disk, int socket)
{
	const int buffer_size = SOCKET_BUFFER;
	struct loop *loop = calloc(1, sizeof(*loop));
	int result = 0;

	if (!loop)
		return -ENOMEM;
	loop->disk = disk;
	loop->socket = socket;
	/* What does not fit costs a change of processes; smaller ones do, too. */
	setsockopt(socket, SOL_SOCKET, SO_SNDBUFFORCE, &buffer_size, sizeof(buffer_size));
	while (!result) {
		int served;

		result = collect(loop);
		/* What came before the disconnection is served and answered (NBD protocol, NBD_CMD_DISC). */
		served = !result || result == -ESHUTDOWN ? serve_all(loop) : 0;
		result = result ? result : served;
	}
	free(loop);
	if (result == -ESHUTDOWN)
		return PK_NBD_STOPPED;
	return result == -EPIPE ? PK_NBD_DROPPED : result;
}
