// SPDX-License-Identifier: Apache-2.0
/* pk_nbd_serve() on standard input, a socket, for a disk in memory: the firmware's part is played here. */
#include <stdlib.h>
#include <string.h>

#include <native/nbd.h>

enum {
	DISK_SIZE = 1 << 20,
	DATA_SIZE = 1 << 18,
	BLOCK_SIZE = 512,
};

static u8 disk[DISK_SIZE];
static u8 data[DATA_SIZE];

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
	};

	return pk_nbd_serve(&served, 0) == PK_NBD_STOPPED ? 0 : 1;
}
