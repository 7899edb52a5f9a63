// SPDX-License-Identifier: Apache-2.0
/* NBD: the netlink requests that make devices, and the loop between the kernel's socket and the firmware. */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/nbd-netlink.h>
#include <linux/nbd.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <native/nbd.h>

enum {
	/* How long the kernel waits for an answer: a disc that spins up takes its time. */
	REQUEST_TIMEOUT_S = 30,
	/* How long it keeps requests when nobody is there to answer. */
	DEAD_TIMEOUT_S = 30,
	MESSAGE_SIZE = 4096,
	NR_REQUESTS = PK_CHANNEL_DEPTH,
	DATA_ALIGNMENT = 4096,
	SOCKET_BUFFER = 4194304,
};

/* ---- netlink ---- */

struct message {
	u8 bytes[MESSAGE_SIZE];
	u32 size;
};

static void put(struct message *message, u16 type, const void *data, u32 size)
{
	struct nlattr attribute = { .nla_len = (u16)(NLA_HDRLEN + size), .nla_type = type };

	memcpy(message->bytes + message->size, &attribute, sizeof(attribute));
	memcpy(message->bytes + message->size + NLA_HDRLEN, data, size);
	message->size += NLA_ALIGN(NLA_HDRLEN + size);
}

static void put_u32(struct message *message, u16 type, u32 value)
{
	put(message, type, &value, sizeof(value));
}

static void put_u64(struct message *message, u16 type, u64 value)
{
	put(message, type, &value, sizeof(value));
}

static void begin(struct message *message, u8 command, u8 version)
{
	struct genlmsghdr head = { .cmd = command, .version = version };

	memset(message, 0, sizeof(*message));
	memcpy(message->bytes + NLMSG_HDRLEN, &head, sizeof(head));
	message->size = NLMSG_HDRLEN + GENL_HDRLEN;
}

/* The attribute of this type in an answer of size bytes, or NULL. */
static const void *find(const u8 *answer, u32 size, u16 type, u32 wanted)
{
	for (u32 offset = NLMSG_HDRLEN + GENL_HDRLEN; offset + NLA_HDRLEN <= size;) {
		struct nlattr attribute;

		memcpy(&attribute, answer + offset, sizeof(attribute));
		if (attribute.nla_len < NLA_HDRLEN || attribute.nla_len > size - offset)
			return NULL;
		if (attribute.nla_type == type && attribute.nla_len >= NLA_HDRLEN + wanted)
			return answer + offset + NLA_HDRLEN;
		offset += NLA_ALIGN(attribute.nla_len);
	}
	return NULL;
}

/*
 * Send a request and read what comes until its acknowledgement, which tells how it went;
 * an answer before it is put in the place of the request.
 */
static int ask(int fd, u16 family, struct message *message)
{
	struct nlmsghdr head = {
		.nlmsg_len = message->size,
		.nlmsg_type = family,
		.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
	};

	memcpy(message->bytes, &head, sizeof(head));
	if (send(fd, message->bytes, message->size, 0) < 0)
		return -errno;
	message->size = 0;
	for (;;) {
		u8 part[MESSAGE_SIZE];
		ssize_t size = recv(fd, part, sizeof(part), 0);

		if (size < 0)
			return -errno;
		for (u32 offset = 0; offset + NLMSG_HDRLEN <= (u32)size;) {
			memcpy(&head, part + offset, sizeof(head));
			if (head.nlmsg_len < NLMSG_HDRLEN || head.nlmsg_len > (u32)size - offset)
				return -EPROTO;
			if (head.nlmsg_type == NLMSG_ERROR) {
				int error;

				memcpy(&error, part + offset + NLMSG_HDRLEN, sizeof(error));
				return error;
			}
			memcpy(message->bytes, part + offset, head.nlmsg_len);
			message->size = head.nlmsg_len;
			offset += NLMSG_ALIGN(head.nlmsg_len);
		}
	}
}

static int open_netlink(u16 *ret_family)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	struct message message;
	const void *family;
	int result;

	if (fd < 0)
		return -errno;
	begin(&message, CTRL_CMD_GETFAMILY, 1);
	put(&message, CTRL_ATTR_FAMILY_NAME, NBD_GENL_FAMILY_NAME, sizeof(NBD_GENL_FAMILY_NAME));
	result = ask(fd, GENL_ID_CTRL, &message);
	family = result ? NULL : find(message.bytes, message.size, CTRL_ATTR_FAMILY_ID, sizeof(*ret_family));
	if (!family) {
		close(fd);
		return result ? result : -EPROTO;
	}
	memcpy(ret_family, family, sizeof(*ret_family));
	return fd;
}

static int ask_nbd(struct message *message)
{
	u16 family;
	int fd = open_netlink(&family);
	int result;

	if (fd < 0)
		return fd;
	result = ask(fd, family, message);
	close(fd);
	return result;
}

static void put_socket(struct message *message, int kernel_socket)
{
	struct {
		struct nlattr item;
		struct nlattr fd;
		u32 value;
	} nested = {
		.item = { .nla_len = sizeof(nested), .nla_type = NBD_SOCK_ITEM | NLA_F_NESTED },
		.fd = { .nla_len = NLA_HDRLEN + sizeof(u32), .nla_type = NBD_SOCK_FD },
		.value = (u32)kernel_socket,
	};

	put(message, NBD_ATTR_SOCKETS | NLA_F_NESTED, &nested, sizeof(nested));
}

static void put_name(struct message *message, const char *name)
{
	put(message, NBD_ATTR_BACKEND_IDENTIFIER, name, (u32)strnlen(name, MESSAGE_SIZE / 2) + 1);
}

int pk_nbd_connect(const struct pk_disk *disk, const char *name, int kernel_socket, u32 *ret_id)
{
	/* Flushes always come here: not every driver that has a cache says so. */
	u64 flags = NBD_FLAG_HAS_FLAGS | (disk->read_only ? NBD_FLAG_READ_ONLY : NBD_FLAG_SEND_FLUSH);
	struct message message;
	const void *id;
	int result;

	begin(&message, NBD_CMD_CONNECT, NBD_GENL_VERSION);
	put_u64(&message, NBD_ATTR_SIZE_BYTES, disk->size);
	put_u64(&message, NBD_ATTR_BLOCK_SIZE_BYTES, disk->linux_block_size);
	put_u64(&message, NBD_ATTR_SERVER_FLAGS, flags);
	put_u64(&message, NBD_ATTR_CLIENT_FLAGS, NBD_CFLAG_DESTROY_ON_DISCONNECT);
	put_u64(&message, NBD_ATTR_TIMEOUT, REQUEST_TIMEOUT_S);
	put_u64(&message, NBD_ATTR_DEAD_CONN_TIMEOUT, DEAD_TIMEOUT_S);
	put_name(&message, name);
	put_socket(&message, kernel_socket);
	result = ask_nbd(&message);
	if (result)
		return result;
	id = find(message.bytes, message.size, NBD_ATTR_INDEX, sizeof(*ret_id));
	if (!id)
		return -EPROTO;
	memcpy(ret_id, id, sizeof(*ret_id));
	return 0;
}

int pk_nbd_reconnect(u32 id, const char *name, int kernel_socket)
{
	struct message message;

	begin(&message, NBD_CMD_RECONFIGURE, NBD_GENL_VERSION);
	put_u32(&message, NBD_ATTR_INDEX, id);
	put_name(&message, name);
	put_socket(&message, kernel_socket);
	return ask_nbd(&message);
}

int pk_nbd_disconnect(u32 id)
{
	struct message message;

	begin(&message, NBD_CMD_DISCONNECT, NBD_GENL_VERSION);
	put_u32(&message, NBD_ATTR_INDEX, id);
	return ask_nbd(&message);
}

/* ---- the loop ---- */

struct waiting {
	u8 cookie[sizeof(((struct nbd_request *)NULL)->handle)];
};

struct loop {
	struct pk_disk *disk;
	int socket;
	struct nbd_request head;	/* read, but not taken in yet */
	bool has_head;
	struct pk_disk_request requests[NR_REQUESTS];
	struct waiting waiting[NR_REQUESTS];	/* by the requests' tags */
	u32 nr_requests;
	u64 used;			/* of the data area */
};

/* 1: all of it is there; 0: nothing is there yet; -EPIPE: the other end is closed. */
static int receive(int fd, void *data, u64 size, bool wait)
{
	for (u64 done = 0; done < size;) {
		ssize_t got = recv(fd, (u8 *)data + done, size - done, wait || done ? MSG_WAITALL : MSG_DONTWAIT);

		if (!got)
			return -EPIPE;
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return errno == EAGAIN ? 0 : -EPIPE;
		done += (u64)got;
	}
	return 1;
}

static int reply(struct loop *loop, const void *cookie, int error, const u8 *data, u64 size)
{
	struct nbd_reply head = { .magic = htonl(NBD_REPLY_MAGIC), .error = htonl((u32)error) };
	struct iovec parts[] = { { &head, sizeof(head) }, { (void *)data, size } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };

	memcpy(&head.handle, cookie, sizeof(head.handle));
	while (parts[0].iov_len || parts[1].iov_len) {
		ssize_t sent = sendmsg(loop->socket, &message, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return -EPIPE;
		for (u32 i = 0; i < 2; i++) {
			u64 step = (u64)sent < parts[i].iov_len ? (u64)sent : parts[i].iov_len;

			parts[i].iov_base = (u8 *)parts[i].iov_base + step;
			parts[i].iov_len -= step;
			sent -= (ssize_t)step;
		}
	}
	return 0;
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
		result = writes ? receive(loop->socket, data, part.size, true) : 1;
		if (result != 1)
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
		result = receive(loop->socket, pk_port_data(loop->disk->port) + used, request.size, true);
		if (result != 1)
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
			result = receive(loop->socket, &loop->head, sizeof(loop->head), !loop->nr_requests);
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

		result = nr_served;
		for (int i = 0; i < nr_served && result >= 0; i++) {
			const struct pk_disk_request *request = &loop->requests[done + (u32)i];
			bool carries = request->op == PK_OP_BLOCK_READ && !request->result;

			result = reply(loop, loop->waiting[request->tag].cookie, -request->result,
				       data + request->data, carries ? request->size : 0);
		}
		done += nr_served > 0 ? (u32)nr_served : 0;
	}
	loop->nr_requests = 0;
	loop->used = 0;
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
