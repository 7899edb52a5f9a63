/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks as /dev/ublkbN (Linux 6.5 and newer). A device outlives the process that serves
 * it: requests wait until another one takes it over or it is deleted.
 */
#ifndef PK_NATIVE_UBLK_H
#define PK_NATIVE_UBLK_H

#include <native/block.h>

enum pk_ublk_state {
	PK_UBLK_DEAD		= 0,	/* not started, or stopped */
	PK_UBLK_LIVE		= 1,
	PK_UBLK_QUIESCED	= 2,	/* its process has ended; requests wait */
};

struct pk_ublk_info {
	u64 tag;	/* given when it was added */
	u32 state;	/* enum pk_ublk_state */
	int pid;	/* who serves it, or did */
};

/* Make device *ret_id, which tag tells from others; it has no block device yet. 0 or -errno, here and below. */
int pk_ublk_add(const struct pk_disk *disk, u64 tag, u32 *ret_id);

/* -ENODEV: there is no such device. */
int pk_ublk_info(u32 id, struct pk_ublk_info *ret);

/* Let this process take over what another one has left. -EBUSY until the kernel has noticed its end. */
int pk_ublk_recover(u32 id);

/* The block device appears, or with recover goes on: returns when a thread of this process serves it. */
int pk_ublk_start(u32 id, bool recover);

/*
 * Serve requests until the device is stopped, and every command has come back: 0, or -errno when the
 * firmware could not be asked. Then disk->lost is set, and requests fail until the device is stopped.
 */
int pk_ublk_serve(struct pk_disk *disk, u32 id);

/* The block device goes: requests fail from now on. What is to reach the disk must have been written before. */
int pk_ublk_stop(u32 id);

/* After stop, once nobody serves it. */
int pk_ublk_delete(u32 id);

#endif
