// SPDX-License-Identifier: Apache-2.0
/* NBD: the netlink requests that make devices, give them another socket, and take them away. */
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/nbd-netlink.h>
#include <linux/nbd.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <native/nbd.h>

enum {
	/* How long the kernel waits for an answer: a disc that spins up takes its time. */
	REQUEST_TIMEOUT_S = 30,
	/* How long it keeps requests when nobody is there to answer. */
	DEAD_TIMEOUT_S = 30,
	MESSAGE_SIZE = 4096,
};

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
