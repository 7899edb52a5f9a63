/* SPDX-License-Identifier: Apache-2.0 */
/* A TPM of Linux (tpm_vtpm_proxy) whose commands the firmware's TPM carries out. */
#ifndef PK_NATIVE_VTPM_H
#define PK_NATIVE_VTPM_H

#include <native/port.h>

enum {
	PK_VTPM_IDLE	= 1,
};

/*
 * Make a TPM 2.0 device; what it is asked is read from the file descriptor that is returned, or
 * -errno. *ret_number is N of /dev/tpmN, which appears once Linux' first commands were answered,
 * and goes when the descriptor is closed: whoever waits for a response then gets an error.
 */
int pk_vtpm_open(u32 *ret_number);

/*
 * Answer commands from fd by way of port, whose data area has PK_TPM_BUFFER_SIZE bytes. Returns
 * 0 when stop_fd becomes readable, PK_VTPM_IDLE after idle_ms without a command, -EPIPE when
 * Linux has given the device up, another -errno when the firmware cannot be asked. Every command
 * that was read is answered: by TPM_RC_FAILURE if nothing else is to be had.
 */
int pk_vtpm_serve(int fd, struct pk_port *port, int stop_fd, int idle_ms);

#endif
