/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of Linux' block layer handed to the firmware: what ublk.c and nbd.c share. */
#ifndef PK_NATIVE_BLOCK_H
#define PK_NATIVE_BLOCK_H

#include <native/port.h>

/*
 * A disk with a medium in it. The caller fills the first part and sets the rest to
 * zero; another thread may read the rest while the loop runs.
 */
struct pk_disk {
	struct pk_port *port;
	u64 size;		/* bytes that Linux sees */
	u64 data_size;		/* of the port's data area */
	u32 handle;
	u32 media_id;
	u32 block_size;		/* of the medium; any number */
	u32 linux_block_size;	/* what Linux reads and writes in: 512 to 4096 */
	u32 read_only;
	u32 reserved;

	efi_status_t lost;	/* out: why there is no medium behind it any more; 0 while there is */
	u64 nr_errors;		/* requests that the firmware refused */
	u64 failed_us;		/* how long the slowest bell took in which it did */
	u64 nr_requests;
	u64 nr_bells;
	u64 budget;		/* bytes that the firmware moves in the time that one bell may take */
};

/* One request; data is where its bytes are, or are to be put, in the port's data area. */
struct pk_disk_request {
	u16 op;			/* PK_OP_BLOCK_READ, _WRITE, _FLUSH */
	u16 tag;		/* the caller's */
	int result;		/* out: 0 or -errno */
	u64 start;		/* bytes; a multiple of linux_block_size, as is size */
	u64 size;
	u64 data;
};

/*
 * The most bytes that requests of one round may have in the data area: what is behind
 * them is needed to read, modify and write blocks that Linux cannot address.
 */
u64 pk_disk_room(const struct pk_disk *disk);

/*
 * Serve the first of requests, as many as are worth one bell; neighbours on the disk
 * and in the data area become one firmware call. Returns how many have their result
 * now, at least 1, or -errno when the firmware could not be asked.
 */
int pk_disk_serve(struct pk_disk *disk, struct pk_disk_request *requests, u32 nr_requests);

#endif
