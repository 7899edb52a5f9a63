// SPDX-License-Identifier: Apache-2.0
/* ublk: the control commands, and the loop that copies between requests and the window and asks the firmware. */
#include <errno.h>
#include <fcntl.h>
#include <linux/ublk_cmd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <native/ring.h>
#include <native/ublk.h>

enum {
	DEPTH = 64,
	REQUEST_MAX = 1048576,
	SECTOR = 512,
	CONTROL_ENTRIES = 1,
	PATH_SIZE = 32,
	DATA_ALIGNMENT = 4096,
	/* Newer than the headers of some distributions whose kernels have it: Linux 6.5, 6.5 and 6.9. */
	TAG_SHIFT = 25,		/* where a request's bytes are in the character device's file; the queue is 0 */
	FLAG_USER_COPY = 1 << 7,
	COMMAND_DELETE_ASYNC = 0x14,
};

static int control(u32 command, struct ublksrv_ctrl_cmd *body)
{
	int fd = open("/dev/ublk-control", O_RDWR | O_CLOEXEC);
	struct pk_ring ring;
	u64 user_data;
	int result;

	if (fd < 0)
		return -errno;
	result = pk_ring_init(&ring, CONTROL_ENTRIES);
	if (result)
		goto err_ring;
	pk_ring_command(&ring, fd, command, body, sizeof(*body), 0);
	result = pk_ring_enter(&ring, 1);
	if (!result && !pk_ring_next(&ring, &user_data, &result))
		result = -EIO;
	pk_ring_deinit(&ring);
err_ring:
	close(fd);
	return result;
}

static int simple_control(u32 command, u32 id, u64 argument)
{
	struct ublksrv_ctrl_cmd body = { .dev_id = id, .queue_id = (u16)-1, .data = { argument } };

	return control(command, &body);
}

static u8 shift_of(u32 size)
{
	return (u8)__builtin_ctz(size);
}

static int set_parameters(const struct pk_disk *disk, u32 id)
{
	u64 largest = pk_disk_room(disk) < REQUEST_MAX ? pk_disk_room(disk) : REQUEST_MAX;
	bool plain = disk->block_size % disk->linux_block_size == 0 && !(disk->block_size & (disk->block_size - 1));
	u32 physical = plain ? disk->block_size : disk->linux_block_size;
	struct ublk_params parameters = {
		.len = sizeof(parameters),
		.types = UBLK_PARAM_TYPE_BASIC,
		.basic = {
			/*
			 * Not every driver that has a cache says so (EDK II's NVMe driver does not): flushes
			 * always come here, those that are not needed cost little.
			 */
			.attrs = disk->read_only ? UBLK_ATTR_READ_ONLY : UBLK_ATTR_VOLATILE_CACHE,
			.logical_bs_shift = shift_of(disk->linux_block_size),
			.physical_bs_shift = shift_of(physical),
			.io_opt_shift = shift_of(physical),
			.io_min_shift = shift_of(physical),
			.max_sectors = (u32)(largest / DATA_ALIGNMENT * DATA_ALIGNMENT / SECTOR),
			.dev_sectors = disk->size / SECTOR,
		},
	};
	struct ublksrv_ctrl_cmd body = {
		.dev_id = id,
		.queue_id = (u16)-1,
		.len = sizeof(parameters),
		.addr = (u64)&parameters,
	};

	return control(_IOWR('u', UBLK_CMD_SET_PARAMS, struct ublksrv_ctrl_cmd), &body);
}

int pk_ublk_add(const struct pk_disk *disk, u64 tag, u32 *ret_id)
{
	struct ublksrv_ctrl_dev_info info = {
		.nr_hw_queues = 1,
		.queue_depth = DEPTH,
		.max_io_buf_bytes = REQUEST_MAX,
		.dev_id = (u32)-1,
		.flags = FLAG_USER_COPY | UBLK_F_USER_RECOVERY | UBLK_F_USER_RECOVERY_REISSUE,
		.ublksrv_flags = tag,
	};
	struct ublksrv_ctrl_cmd body = {
		.dev_id = (u32)-1,
		.queue_id = (u16)-1,
		.len = sizeof(info),
		.addr = (u64)&info,
	};
	int result = control(_IOWR('u', UBLK_CMD_ADD_DEV, struct ublksrv_ctrl_cmd), &body);

	if (result)
		return result;
	result = info.flags & FLAG_USER_COPY ? set_parameters(disk, info.dev_id) : -EOPNOTSUPP;
	if (result) {
		pk_ublk_delete(info.dev_id);
		return result;
	}
	*ret_id = info.dev_id;
	return 0;
}

int pk_ublk_info(u32 id, struct pk_ublk_info *ret)
{
	struct ublksrv_ctrl_dev_info info;
	struct ublksrv_ctrl_cmd body = {
		.dev_id = id,
		.queue_id = (u16)-1,
		.len = sizeof(info),
		.addr = (u64)&info,
	};
	int result = control(_IOR('u', UBLK_CMD_GET_DEV_INFO, struct ublksrv_ctrl_cmd), &body);

	if (result)
		return result;
	*ret = (struct pk_ublk_info){ info.ublksrv_flags, info.state, info.ublksrv_pid };
	return 0;
}

int pk_ublk_recover(u32 id)
{
	return simple_control(_IOWR('u', UBLK_CMD_START_USER_RECOVERY, struct ublksrv_ctrl_cmd), id, 0);
}

int pk_ublk_start(u32 id, bool recover)
{
	u32 command = recover ? _IOWR('u', UBLK_CMD_END_USER_RECOVERY, struct ublksrv_ctrl_cmd) :
				_IOWR('u', UBLK_CMD_START_DEV, struct ublksrv_ctrl_cmd);

	return simple_control(command, id, (u64)getpid());
}

int pk_ublk_stop(u32 id)
{
	return simple_control(_IOWR('u', UBLK_CMD_STOP_DEV, struct ublksrv_ctrl_cmd), id, 0);
}

int pk_ublk_delete(u32 id)
{
	/* The other one waits until nobody has the block device open. */
	int result = simple_control(_IOR('u', COMMAND_DELETE_ASYNC, struct ublksrv_ctrl_cmd), id, 0);

	if (result != -EOPNOTSUPP)
		return result;
	return simple_control(_IOWR('u', UBLK_CMD_DEL_DEV, struct ublksrv_ctrl_cmd), id, 0);
}

struct loop {
	struct pk_disk *disk;
	u32 id;
	int fd;
	const struct ublksrv_io_desc *descriptions;
	u64 descriptions_size;
	struct pk_ring ring;
	struct pk_disk_request pending[DEPTH];
	u32 nr_pending;
	u32 nr_sorted;		/* the first ones; those that came later wait for them, lest one waits for ever */
	bool ended[DEPTH];
	u32 nr_ended;
};

static int open_device(struct loop *loop)
{
	u64 page = (u64)sysconf(_SC_PAGESIZE);
	char path[PATH_SIZE];
	int result;

	snprintf(path, sizeof(path), "/dev/ublkc%u", loop->id);
	loop->fd = open(path, O_RDWR | O_CLOEXEC);
	if (loop->fd < 0)
		return -errno;
	loop->descriptions_size = (DEPTH * sizeof(*loop->descriptions) + page - 1) / page * page;
	loop->descriptions = mmap(NULL, loop->descriptions_size, PROT_READ, MAP_SHARED | MAP_POPULATE, loop->fd,
				  UBLKSRV_CMD_BUF_OFFSET);
	if (loop->descriptions == MAP_FAILED) {
		result = -errno;
		goto err_close;
	}
	result = pk_ring_init(&loop->ring, DEPTH);
	if (result)
		goto err_unmap;
	return 0;

err_unmap:
	munmap((void *)loop->descriptions, loop->descriptions_size);
err_close:
	close(loop->fd);
	return result;
}

static void close_device(struct loop *loop)
{
	pk_ring_deinit(&loop->ring);
	munmap((void *)loop->descriptions, loop->descriptions_size);
	close(loop->fd);
}

static void queue(struct loop *loop, u32 command, u16 tag, int result)
{
	struct ublksrv_io_cmd body = { .q_id = 0, .tag = tag, .result = result };

	pk_ring_command(&loop->ring, loop->fd, command, &body, sizeof(body), tag);
}

static void complete(struct loop *loop, const struct pk_disk_request *request)
{
	int result = request->result;

	if (!result && request->op != PK_OP_BLOCK_FLUSH)
		result = (int)request->size;
	queue(loop, _IOWR('u', UBLK_IO_COMMIT_AND_FETCH_REQ, struct ublksrv_io_cmd), request->tag, result);
}

static void accept_request(struct loop *loop, u16 tag)
{
	const struct ublksrv_io_desc *description = &loop->descriptions[tag];
	struct pk_disk_request request = {
		.tag = tag,
		.start = description->start_sector * SECTOR,
		.size = (u64)description->nr_sectors * SECTOR,
	};

	switch (ublksrv_get_op(description)) {
	case UBLK_IO_OP_READ:
		request.op = PK_OP_BLOCK_READ;
		break;
	case UBLK_IO_OP_WRITE:
		request.op = PK_OP_BLOCK_WRITE;
		break;
	case UBLK_IO_OP_FLUSH:
		request.op = PK_OP_BLOCK_FLUSH;
		request.size = 0;
		break;
	default:
		request.result = -EOPNOTSUPP;
		complete(loop, &request);
		return;
	}
	loop->pending[loop->nr_pending++] = request;
}

static void take_completions(struct loop *loop)
{
	u64 tag;
	int result;

	while (pk_ring_next(&loop->ring, &tag, &result)) {
		if (result == UBLK_IO_RES_OK) {
			accept_request(loop, (u16)tag);
		} else if (!loop->ended[tag]) {
			/* Stopped, or being stopped: nothing comes for this tag any more. */
			loop->ended[tag] = true;
			loop->nr_ended++;
		}
	}
}

static int by_place(const void *a, const void *b)
{
	const struct pk_disk_request *left = a, *right = b;

	if (left->op != right->op)
		return left->op < right->op ? -1 : 1;
	return left->start < right->start ? -1 : left->start > right->start;
}

static off_t place_of(const struct pk_disk_request *request)
{
	return (off_t)(UBLKSRV_IO_BUF_OFFSET + ((u64)request->tag << TAG_SHIFT));
}

/* Give the first pending requests their places in the data area and fetch what they write. Returns how many. */
static u32 place(struct loop *loop)
{
	u8 *data = pk_port_data(loop->disk->port);
	u64 room = pk_disk_room(loop->disk);
	u64 used = 0;
	u32 i;

	for (i = 0; i < loop->nr_sorted; i++) {
		struct pk_disk_request *request = &loop->pending[i];
		const struct pk_disk_request *before = i ? request - 1 : NULL;

		/* Neighbours lie side by side, others where every device can take them. */
		if (!before || before->op != request->op || before->start + before->size != request->start)
			used = (used + DATA_ALIGNMENT - 1) / DATA_ALIGNMENT * DATA_ALIGNMENT;
		if (used > room || request->size > room - used)
			break;
		/* Not worth fetching for a later bell. */
		if (i && used > loop->disk->budget)
			break;
		request->data = used;
		used += request->size;
		if (request->op == PK_OP_BLOCK_WRITE &&
		    pread(loop->fd, data + request->data, request->size, place_of(request)) != (ssize_t)request->size)
			request->result = -EIO;
	}
	return i;
}

static void deliver(struct loop *loop, struct pk_disk_request *request)
{
	const u8 *data = pk_port_data(loop->disk->port);

	if (request->op == PK_OP_BLOCK_READ && !request->result &&
	    pwrite(loop->fd, data + request->data, request->size, place_of(request)) != (ssize_t)request->size)
		request->result = -EIO;
	complete(loop, request);
}

/* Take those away whose data could not be fetched; *nr_placed requests are left. */
static void drop_failed(struct loop *loop, u32 *nr_placed)
{
	u32 kept = 0;

	for (u32 i = 0; i < loop->nr_pending; i++) {
		if (i < *nr_placed && loop->pending[i].result)
			complete(loop, &loop->pending[i]);
		else
			loop->pending[kept++] = loop->pending[i];
	}
	*nr_placed -= loop->nr_pending - kept;
	loop->nr_sorted -= loop->nr_pending - kept;
	loop->nr_pending = kept;
}

/* One bell's worth of the pending requests. 0 or -errno. */
static int serve_some(struct loop *loop)
{
	u32 nr_placed;
	int nr_served;

	if (!loop->nr_sorted) {
		loop->nr_sorted = loop->nr_pending;
		qsort(loop->pending, loop->nr_pending, sizeof(loop->pending[0]), by_place);
	}
	nr_placed = place(loop);
	if (!nr_placed) {
		/* Larger than was agreed. */
		loop->pending[0].result = -EIO;
		nr_placed = 1;
	}
	drop_failed(loop, &nr_placed);
	if (!nr_placed)
		return 0;
	nr_served = pk_disk_serve(loop->disk, loop->pending, nr_placed);
	if (nr_served < 0)
		return nr_served;
	for (int i = 0; i < nr_served; i++)
		deliver(loop, &loop->pending[i]);
	loop->nr_pending -= (u32)nr_served;
	loop->nr_sorted -= (u32)nr_served;
	memmove(loop->pending, loop->pending + nr_served, loop->nr_pending * sizeof(loop->pending[0]));
	return 0;
}

int pk_ublk_serve(struct pk_disk *disk, u32 id)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	int failure = 0;
	int result;

	if (!loop)
		return -ENOMEM;
	loop->disk = disk;
	loop->id = id;
	result = open_device(loop);
	if (result)
		goto err_open;
	for (u16 tag = 0; tag < DEPTH; tag++)
		queue(loop, _IOWR('u', UBLK_IO_FETCH_REQ, struct ublksrv_io_cmd), tag, 0);
	while (loop->nr_ended < DEPTH) {
		result = pk_ring_enter(&loop->ring, loop->nr_pending ? 0 : 1);
		if (result)
			break;
		take_completions(loop);
		if (!loop->nr_pending)
			continue;
		result = serve_some(loop);
		if (result < 0) {
			/*
			 * Ending now would leave commands to the kernel that it has to cancel: the
			 * rest fails, and the end is that of any other device, by pk_ublk_stop().
			 */
			failure = result;
			disk->lost = EFI_DEVICE_ERROR;
		}
	}
	close_device(loop);
err_open:
	free(loop);
	return failure ? failure : result;
}
