/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client's way to the firmware's devices: a channel and a piece of the window, or,
 * where there is no window, messages of the mailbox. One thread a port.
 */
#ifndef PK_NATIVE_PORT_H
#define PK_NATIVE_PORT_H

#include <efi/types.h>
#include <pykexec/abi.h>

struct pk_port;

/*
 * dax: the window's character device, or NULL for the mailbox. bell, mailbox: their
 * variables' files, mutable. data_size: bytes of data area wanted, whole pages. 0 or
 * -errno: -EBUSY when all channels or all of the data area is taken by others.
 */
int pk_port_open(const char *dax, const char *bell, const char *mailbox, u64 data_size, struct pk_port **ret);
void pk_port_close(struct pk_port *port);

/* The data area, data_size bytes; what is in it is shared with the firmware. */
u8 *pk_port_data(struct pk_port *port);

/*
 * Have the firmware serve descriptors, in order; their offsets count from the start of
 * the data area. Sets each one's status and result. 0, or -errno when the firmware
 * could not be asked: nothing is known then about what was done.
 */
int pk_port_transfer(struct pk_port *port, struct pk_descriptor *descriptors, u32 nr_descriptors);

/* Does the port go by the window? */
bool pk_port_is_window(const struct pk_port *port);

/* The errno (positive) that stands for an efi_status_t; 0 for success. */
int pk_status_errno(efi_status_t status);

#endif
