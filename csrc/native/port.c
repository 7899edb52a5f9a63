// SPDX-License-Identifier: Apache-2.0
/* A client's way to the firmware's devices, by window or mailbox. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <native/port.h>

enum {
	DATA_STEP = 65536,	/* where pieces of the window begin */
	ATTRIBUTES_SIZE = 4,
	ALIGNMENT = 8,
};

struct pk_port {
	int dax_fd;	/* -1: by the mailbox */
	int bell_fd;
	int mailbox_fd;
	u8 *window;
	u64 window_size;
	struct pk_channel *channel;
	struct pk_counters *counters;
	u8 *data;
	u64 data_offset;	/* in the window */
	u64 data_size;
	u32 posted;
	bool write_rings;	/* this kernel's fstatfs() does not */
	u8 *message;		/* by the mailbox: attributes, then the message; the answer comes here too */
	u32 sequence;
};

int pk_status_errno(efi_status_t status)
{
	switch (status) {
	case EFI_SUCCESS: return 0;
	case EFI_INVALID_PARAMETER:
	case EFI_BAD_BUFFER_SIZE: return EINVAL;
	case EFI_UNSUPPORTED: return EOPNOTSUPP;
	case EFI_NOT_READY: return EAGAIN;
	case EFI_WRITE_PROTECTED: return EROFS;
	case EFI_OUT_OF_RESOURCES: return ENOMEM;
	case EFI_NO_MEDIA: return ENOMEDIUM;
	case EFI_MEDIA_CHANGED: return ESTALE;
	case EFI_NOT_FOUND: return ENODEV;
	default: return EIO;
	}
}

/*
 * A piece of the window is taken by locking the same bytes of its file: the kernel
 * gives it back when the process ends, however it ends.
 */
static bool take(int fd, u64 start, u64 size)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)start, .l_len = (off_t)size };

	return !fcntl(fd, F_OFD_SETLK, &lock);
}

static void give_back(int fd, u64 start, u64 size)
{
	struct flock lock = { .l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = (off_t)start, .l_len = (off_t)size };

	fcntl(fd, F_OFD_SETLK, &lock);
}

/* Whatever the last owner of the channel left undone stays undone. */
static void forget_posted(struct pk_port *port, u64 channel)
{
	struct pk_counters *counters = &((struct pk_window *)port->window)->counters[channel];

	__atomic_store_n(&counters->posted, counters->served, __ATOMIC_RELEASE);
}

static int take_channel(struct pk_port *port)
{
	for (u64 n = 0; n < PK_WINDOW_CHANNELS; n++) {
		u64 start = (n + 1) * PK_PAGE_SIZE;

		if (!take(port->dax_fd, start, PK_PAGE_SIZE))
			continue;
		port->channel = (struct pk_channel *)(port->window + start);
		port->counters = &((struct pk_window *)port->window)->counters[n];
		forget_posted(port, n);
		port->posted = port->counters->posted;
		return 0;
	}
	return -EBUSY;
}

static int take_data(struct pk_port *port)
{
	for (u64 start = PK_WINDOW_DATA; port->data_size <= port->window_size - start; start += DATA_STEP) {
		if (!take(port->dax_fd, start, port->data_size))
			continue;
		port->data_offset = start;
		port->data = port->window + start;
		return 0;
	}
	return -EBUSY;
}

/*
 * Who was killed between posting and its bell has left descriptors that anybody's bell
 * serves, and they name the data area that is ours now. Its channel became free together
 * with that area: no free channel may have any left when we begin to use it.
 */
static void disarm_free_channels(struct pk_port *port)
{
	for (u64 n = 0; n < PK_WINDOW_CHANNELS; n++) {
		u64 start = (n + 1) * PK_PAGE_SIZE;

		/* Our own lock would be no obstacle. */
		if ((u8 *)port->channel == port->window + start || !take(port->dax_fd, start, PK_PAGE_SIZE))
			continue;
		forget_posted(port, n);
		give_back(port->dax_fd, start, PK_PAGE_SIZE);
	}
}

/* Its header says how large it is. */
static int map_window(struct pk_port *port)
{
	const struct pk_window *header;
	u64 size;

	header = mmap(NULL, PK_WINDOW_ALIGNMENT, PROT_READ, MAP_SHARED, port->dax_fd, 0);
	if (header == MAP_FAILED)
		return -errno;
	size = header->magic == PK_WINDOW_MAGIC && header->version == PK_WINDOW_VERSION ? header->size : 0;
	munmap((void *)header, PK_WINDOW_ALIGNMENT);
	if (size < PK_WINDOW_SIZE || size > PK_WINDOW_SIZE_MAX || size % PK_WINDOW_ALIGNMENT)
		return -EPROTO;
	port->window = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, port->dax_fd, 0);
	if (port->window == MAP_FAILED) {
		port->window = NULL;
		return -errno;
	}
	port->window_size = size;
	return 0;
}

static int open_window(struct pk_port *port, const char *dax, const char *bell)
{
	int result;

	port->dax_fd = open(dax, O_RDWR | O_CLOEXEC);
	if (port->dax_fd < 0)
		return -errno;
	port->bell_fd = open(bell, O_WRONLY | O_CLOEXEC);
	if (port->bell_fd < 0)
		return -errno;
	result = map_window(port);
	if (!result)
		result = take_channel(port);
	if (!result)
		result = take_data(port);
	if (!result)
		disarm_free_channels(port);
	return result;
}

static int open_mailbox(struct pk_port *port, const char *mailbox)
{
	port->mailbox_fd = open(mailbox, O_RDWR | O_CLOEXEC);
	if (port->mailbox_fd < 0)
		return -errno;
	port->message = malloc(ATTRIBUTES_SIZE + PK_MESSAGE_MAX);
	port->data = aligned_alloc(PK_PAGE_SIZE, port->data_size);
	return port->message && port->data ? 0 : -ENOMEM;
}

int pk_port_open(const char *dax, const char *bell, const char *mailbox, u64 data_size, struct pk_port **ret)
{
	struct pk_port *port;
	int result;

	if (!data_size || data_size % PK_PAGE_SIZE || data_size > PK_WINDOW_SIZE_MAX - PK_WINDOW_DATA)
		return -EINVAL;
	port = calloc(1, sizeof(*port));
	if (!port)
		return -ENOMEM;
	port->dax_fd = -1;
	port->bell_fd = -1;
	port->mailbox_fd = -1;
	port->data_size = data_size;
	result = dax ? open_window(port, dax, bell) : open_mailbox(port, mailbox);
	if (result) {
		pk_port_close(port);
		return result;
	}
	*ret = port;
	return 0;
}

static void close_if_open(int fd)
{
	if (fd >= 0)
		close(fd);
}

void pk_port_close(struct pk_port *port)
{
	if (port->window)
		munmap(port->window, port->window_size);
	else
		free(port->data);
	free(port->message);
	close_if_open(port->dax_fd);
	close_if_open(port->bell_fd);
	close_if_open(port->mailbox_fd);
	free(port);
}

u8 *pk_port_data(struct pk_port *port)
{
	return port->data;
}

bool pk_port_is_window(const struct pk_port *port)
{
	return port->window;
}

static u64 room_of(const struct pk_descriptor *descriptor)
{
	return descriptor->size > descriptor->capacity ? descriptor->size : descriptor->capacity;
}

static bool is_inside(const struct pk_port *port, const struct pk_descriptor *descriptor)
{
	return descriptor->offset <= port->data_size && room_of(descriptor) <= port->data_size - descriptor->offset;
}

/* From Linux 6.6 on fstatfs() asks the firmware and nothing else: half the price of a write. */
static int ring(struct pk_port *port)
{
	static const u8 note[ATTRIBUTES_SIZE + 1] = { PK_MAILBOX_ATTRIBUTES };
	struct statfs unused;

	if (!port->write_rings) {
		if (fstatfs(port->bell_fd, &unused))
			return -errno;
		if (__atomic_load_n(&port->counters->served, __ATOMIC_ACQUIRE) == port->posted)
			return 0;
		port->write_rings = true;
	}
	return write(port->bell_fd, note, sizeof(note)) < 0 ? -errno : 0;
}

static int transfer_by_window(struct pk_port *port, struct pk_descriptor *descriptors, u32 nr_descriptors)
{
	struct pk_channel *channel = port->channel;
	u32 first = port->posted;
	int result;

	for (u32 i = 0; i < nr_descriptors; i++) {
		struct pk_descriptor *posted = &channel->descriptors[(first + i) % PK_CHANNEL_DEPTH];

		*posted = descriptors[i];
		posted->offset += port->data_offset;
	}
	port->posted += nr_descriptors;
	__atomic_store_n(&port->counters->posted, port->posted, __ATOMIC_RELEASE);
	result = ring(port);
	if (result)
		return result;
	if (__atomic_load_n(&port->counters->served, __ATOMIC_ACQUIRE) != port->posted)
		return -EIO;
	for (u32 i = 0; i < nr_descriptors; i++) {
		const struct pk_descriptor *served = &channel->descriptors[(first + i) % PK_CHANNEL_DEPTH];

		descriptors[i].status = served->status;
		descriptors[i].result = served->result;
	}
	return 0;
}

/* Does the firmware look at the data, or only fill it? */
static u64 sent_size(const struct pk_descriptor *descriptor)
{
	return descriptor->op == PK_OP_BLOCK_READ ? 0 : descriptor->size;
}

static int exchange(struct pk_port *port, u64 size, u64 *ret_size)
{
	ssize_t got = -1;

	if (flock(port->mailbox_fd, LOCK_EX))
		return -errno;
	if (write(port->mailbox_fd, port->message, ATTRIBUTES_SIZE + size) >= 0)
		got = pread(port->mailbox_fd, port->message, ATTRIBUTES_SIZE + PK_MESSAGE_MAX, 0);
	if (got < 0)
		got = -errno;
	flock(port->mailbox_fd, LOCK_UN);
	if (got < 0)
		return (int)got;
	if ((u64)got < ATTRIBUTES_SIZE)
		return -EPROTO;
	*ret_size = (u64)got - ATTRIBUTES_SIZE;
	return 0;
}

static int read_answer(struct pk_port *port, u64 size, struct pk_descriptor *descriptor)
{
	const u8 *answer = port->message + ATTRIBUTES_SIZE;
	struct pk_descriptor served;
	struct pk_message head;
	struct pk_reply reply;
	u64 data_size;

	if (size < sizeof(head) + sizeof(reply))
		return -EPROTO;
	memcpy(&head, answer, sizeof(head));
	memcpy(&reply, answer + sizeof(head), sizeof(reply));
	if (head.magic != PK_MESSAGE_MAGIC || head.sequence != port->sequence || head.nr_records != 1 ||
	    reply.op != PK_OP_TRANSFER)
		return -EPROTO;
	if (reply.status != EFI_SUCCESS)
		return -pk_status_errno(reply.status);
	answer += sizeof(head) + sizeof(reply);
	size -= sizeof(head) + sizeof(reply);
	if (size < sizeof(served))
		return -EPROTO;
	memcpy(&served, answer, sizeof(served));
	data_size = size - sizeof(served);
	if (data_size > room_of(descriptor))
		data_size = room_of(descriptor);
	/* None for what is only read there. */
	memcpy(port->data + descriptor->offset, answer + sizeof(served), data_size);
	descriptor->status = served.status;
	descriptor->result = served.result;
	return 0;
}

static int transfer_by_mailbox(struct pk_port *port, struct pk_descriptor *descriptor)
{
	const u32 attributes = PK_MAILBOX_ATTRIBUTES;
	u64 body_size = sizeof(*descriptor) + sent_size(descriptor);
	u64 record_size = sizeof(struct pk_request) + body_size;
	u64 padded = (record_size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	const struct pk_request request = { .op = PK_OP_TRANSFER, .size = (u32)record_size };
	const struct pk_message head = {
		.magic = PK_MESSAGE_MAGIC,
		.version = PK_MESSAGE_VERSION,
		.nr_records = 1,
		.size = (u32)(sizeof(head) + padded),
		.sequence = ++port->sequence,
	};
	u8 *out = port->message;
	u64 size;
	int result;

	if (sizeof(head) + sizeof(struct pk_reply) + sizeof(*descriptor) + room_of(descriptor) > PK_MESSAGE_MAX)
		return -EMSGSIZE;
	memcpy(out, &attributes, ATTRIBUTES_SIZE);
	out += ATTRIBUTES_SIZE;
	memset(out + sizeof(head) + padded - ALIGNMENT, 0, ALIGNMENT);
	memcpy(out, &head, sizeof(head));
	memcpy(out + sizeof(head), &request, sizeof(request));
	out += sizeof(head) + sizeof(request);
	memcpy(out, descriptor, sizeof(*descriptor));
	memcpy(out + sizeof(*descriptor), port->data + descriptor->offset, sent_size(descriptor));
	result = exchange(port, head.size, &size);
	return result ? result : read_answer(port, size, descriptor);
}

int pk_port_transfer(struct pk_port *port, struct pk_descriptor *descriptors, u32 nr_descriptors)
{
	int result = 0;

	for (u32 i = 0; i < nr_descriptors; i++)
		if (!is_inside(port, &descriptors[i]))
			return -EINVAL;
	for (u32 done = 0; done < nr_descriptors && !result;) {
		u32 step = nr_descriptors - done;

		if (step > PK_CHANNEL_DEPTH)
			step = PK_CHANNEL_DEPTH;
		if (!port->window)
			step = 1;
		result = port->window ? transfer_by_window(port, descriptors + done, step) :
					transfer_by_mailbox(port, descriptors + done);
		done += step;
	}
	return result;
}
