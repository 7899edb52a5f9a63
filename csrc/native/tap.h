/* SPDX-License-Identifier: Apache-2.0 */
/* A NIC of the firmware as a TAP interface of Linux: frames carried both ways, without the GIL. */
#ifndef PK_NATIVE_TAP_H
#define PK_NATIVE_TAP_H

#include <native/port.h>

/*
 * Make the TAP interface name, without carrier, with a MAC address of 6 bytes and an
 * MTU. Its file descriptor or -errno. It outlives its bridge, so that the next one
 * finds addresses and connections; pk_tap_close() ends it.
 */
int pk_tap_open(const char *name, const u8 *address, u32 mtu);
void pk_tap_close(int tap_fd);

/*
 * Carry frames between the TAP and the open NIC with number handle, by a port with
 * PK_NET_EXCHANGE_SIZE of data, until stop_fd is readable: 0; -errno when the NIC, the
 * firmware or the TAP fails.
 */
int pk_tap_serve(struct pk_port *port, u32 handle, u32 mtu, int tap_fd, int stop_fd);

#endif
