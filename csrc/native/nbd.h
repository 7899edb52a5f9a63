/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks as /dev/nbdN, for kernels without ublk. The kernel holds one end of a socket pair
 * and keeps the device for some time when the process at the other end is gone.
 */
#ifndef PK_NATIVE_NBD_H
#define PK_NATIVE_NBD_H

#include <native/block.h>

enum pk_nbd_end {
	PK_NBD_STOPPED		= 0,	/* by pk_nbd_disconnect() */
	PK_NBD_DROPPED		= 1,	/* the kernel has given this socket up: offer it another one */
};

/*
 * Make /dev/nbd<*ret_id>; kernel_socket is the kernel's then, too. name tells whose it is in
 * /sys/block/nbdN/backend. 0 or -errno, here and below.
 */
int pk_nbd_connect(const struct pk_disk *disk, const char *name, int kernel_socket, u32 *ret_id);

/* Put another socket in the place of one that is dead; -ENOSPC as long as the kernel has not noticed. */
int pk_nbd_reconnect(u32 id, const char *name, int kernel_socket);

/* The device goes; requests that are not answered fail. */
int pk_nbd_disconnect(u32 id);

/* Serve what comes by socket: enum pk_nbd_end; or -errno when the firmware cannot be asked. */
int pk_nbd_serve(struct pk_disk *disk, int socket);

#endif
