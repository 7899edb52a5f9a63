// SPDX-License-Identifier: Apache-2.0
/*
 * pk_nbd_serve() on standard input, a socket, for a disk in memory: the firmware's part is played here.
 * Prints how often the firmware was asked, and how often answers were sent.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <native/nbd.h>

enum {
	DISK_SIZE = 1 << 20,
	DATA_SIZE = 1 << 18,
	BLOCK_SIZE = 512,
	BUDGET = 1 << 24,	/* one bell takes as much as there is */
};

static u8 disk[DISK_SIZE];
static u8 data[DATA_SIZE];
static u32 nr_sent;

/* The linker has nbd.c call this one (--wrap). */
ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
	nr_sent++;
	return __real_sendmsg(fd, message, flags);
}

u8 *pk_port_data(struct pk_port *port)
{
	(void)port;
	return data;
}

int pk_port_transfer(struct pk_port *port, struct pk_descriptor *descriptors, u32 nr_descriptors)
{
	(void)port;
	for (u32 i = 0; i < nr_descriptors; i++) {
		struct pk_descriptor *descriptor = &descriptors[i];
		u64 start = descriptor->lba * BLOCK_SIZE;

		if (descriptor->op == PK_OP_BLOCK_READ)
			memcpy(data + descriptor->offset, disk + start, descriptor->size);
		if (descriptor->op == PK_OP_BLOCK_WRITE)
			memcpy(disk + start, data + descriptor->offset, descriptor->size);
		descriptor->result = descriptor->size;
		descriptor->status = EFI_SUCCESS;
	}
	return 0;
}

int main(void)
{
	struct pk_disk served = {
		.size = DISK_SIZE,
		.data_size = DATA_SIZE,
		.block_size = BLOCK_SIZE,
		.linux_block_size = BLOCK_SIZE,
		.budget = BUDGET,
	};
	int end = pk_nbd_serve(&served, 0);

	printf("bells:%u sent:%u\n", (u32)served.nr_bells, nr_sent);
	return end == PK_NBD_STOPPED ? 0 : 1;
}
