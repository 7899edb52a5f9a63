// SPDX-License-Identifier: Apache-2.0
/* io_uring by its system calls; the C library has no wrappers, and liburing is not in an initramfs. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <native/ring.h>

enum {
	ENTRY_SIZE = 128,		/* with IORING_SETUP_SQE128 */
	COMMAND_OFFSET = 48,		/* of a command's own bytes in its entry */
};

static int set_up(u32 nr_entries, struct io_uring_params *params)
{
	/* Completions come when they are waited for, not in between: spares interruptions. */
	static const u32 choices[] = { IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, 0 };
	int fd = -1;

	for (u32 i = 0; fd < 0 && i < sizeof(choices) / sizeof(choices[0]); i++) {
		memset(params, 0, sizeof(*params));
		params->flags = IORING_SETUP_SQE128 | choices[i];
		fd = (int)syscall(SYS_io_uring_setup, nr_entries, params);
		if (fd < 0 && errno != EINVAL)
			break;
	}
	return fd < 0 ? -errno : fd;
}

int pk_ring_init(struct pk_ring *ring, u32 nr_entries)
{
	struct io_uring_params params;
	u64 sq_size, cq_size;
	int result;

	memset(ring, 0, sizeof(*ring));
	ring->fd = set_up(nr_entries, &params);
	if (ring->fd < 0)
		return ring->fd;
	if (!(params.features & IORING_FEAT_SINGLE_MMAP)) {
		result = -EOPNOTSUPP;
		goto err_close;
	}
	ring->nr_entries = params.sq_entries;
	sq_size = params.sq_off.array + params.sq_entries * sizeof(u32);
	cq_size = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
	ring->queues_size = sq_size > cq_size ? sq_size : cq_size;
	ring->queues = mmap(NULL, ring->queues_size, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd,
			    IORING_OFF_SQ_RING);
	if (ring->queues == MAP_FAILED) {
		result = -errno;
		goto err_close;
	}
	ring->entries = mmap(NULL, (u64)params.sq_entries * ENTRY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			     ring->fd, IORING_OFF_SQES);
	if (ring->entries == MAP_FAILED) {
		result = -errno;
		goto err_unmap;
	}
	ring->sq_tail = (u32 *)(ring->queues + params.sq_off.tail);
	ring->sq_array = (u32 *)(ring->queues + params.sq_off.array);
	ring->sq_mask = *(u32 *)(ring->queues + params.sq_off.ring_mask);
	ring->cq_head = (u32 *)(ring->queues + params.cq_off.head);
	ring->cq_tail = (u32 *)(ring->queues + params.cq_off.tail);
	ring->cq_mask = *(u32 *)(ring->queues + params.cq_off.ring_mask);
	ring->completions = (struct io_uring_cqe *)(ring->queues + params.cq_off.cqes);
	return 0;

err_unmap:
	munmap(ring->queues, ring->queues_size);
err_close:
	close(ring->fd);
	return result;
}

void pk_ring_deinit(struct pk_ring *ring)
{
	munmap(ring->entries, (u64)ring->nr_entries * ENTRY_SIZE);
	munmap(ring->queues, ring->queues_size);
	close(ring->fd);
}

void pk_ring_command(struct pk_ring *ring, int fd, u32 command, const void *body, u64 size, u64 user_data)
{
	u32 tail = *ring->sq_tail;
	u32 index = tail & ring->sq_mask;
	u8 *place = ring->entries + (u64)index * ENTRY_SIZE;
	struct io_uring_sqe *entry = (struct io_uring_sqe *)place;

	memset(place, 0, ENTRY_SIZE);
	entry->opcode = IORING_OP_URING_CMD;
	entry->fd = fd;
	entry->cmd_op = command;
	entry->user_data = user_data;
	memcpy(place + COMMAND_OFFSET, body, size);
	ring->sq_array[index] = index;
	__atomic_store_n(ring->sq_tail, tail + 1, __ATOMIC_RELEASE);
	ring->nr_queued++;
}

int pk_ring_enter(struct pk_ring *ring, u32 nr_wanted)
{
	long nr_taken;

	do {
		nr_taken = syscall(SYS_io_uring_enter, ring->fd, ring->nr_queued, nr_wanted,
				   IORING_ENTER_GETEVENTS, NULL, 0);
	} while (nr_taken < 0 && errno == EINTR);
	if (nr_taken < 0)
		return -errno;
	ring->nr_queued -= (u32)nr_taken;
	return 0;
}

bool pk_ring_next(struct pk_ring *ring, u64 *ret_user_data, int *ret_result)
{
	u32 head = *ring->cq_head;
	const struct io_uring_cqe *completion = &ring->completions[head & ring->cq_mask];

	if (head == __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE))
		return false;
	*ret_user_data = completion->user_data;
	*ret_result = completion->res;
	__atomic_store_n(ring->cq_head, head + 1, __ATOMIC_RELEASE);
	return true;
}
