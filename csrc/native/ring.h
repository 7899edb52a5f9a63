/* SPDX-License-Identifier: Apache-2.0 */
/* As much of io_uring, by its bare system calls, as ublk needs: commands of 32 bytes, and completions. */
#ifndef PK_NATIVE_RING_H
#define PK_NATIVE_RING_H

#include <pykexec/types.h>

#ifndef PK_CFFI
#include <linux/io_uring.h>

struct pk_ring {
	int fd;
	u32 nr_entries;
	u32 nr_queued;		/* not yet submitted */
	u8 *queues;
	u64 queues_size;
	u8 *entries;
	u32 *sq_tail;
	u32 *sq_array;
	u32 sq_mask;
	u32 *cq_head;
	u32 *cq_tail;
	u32 cq_mask;
	struct io_uring_cqe *completions;
};

/* nr_entries is a power of two. The thread that sets the ring up is the only one that may use it. 0 or -errno. */
int pk_ring_init(struct pk_ring *ring, u32 nr_entries);
void pk_ring_deinit(struct pk_ring *ring);

/* Queue a command of size bytes, at most 80, for the file fd; its completion has user_data. */
void pk_ring_command(struct pk_ring *ring, int fd, u32 command, const void *body, u64 size, u64 user_data);

/* Submit what is queued and wait until nr_wanted completions are there. 0 or -errno. */
int pk_ring_enter(struct pk_ring *ring, u32 nr_wanted);

/* Take a completion, if there is one. */
bool pk_ring_next(struct pk_ring *ring, u64 *ret_user_data, int *ret_result);
#endif

#endif
