/* SPDX-License-Identifier: Apache-2.0 */
/* The firmware's own network stack, on top of NICs. */
#ifndef PK_STUB_NET_STACK_H
#define PK_STUB_NET_STACK_H

#include <efi/types.h>

/* Note where it is, and what its own network boot left, before anybody disturbs it. */
void pk_net_stack_init(void);
/* Have it come back to the NIC, if it was there. */
void pk_net_stack_connect(u32 number);
/*
 * Who wishes to see network devices has the firmware connect its stack, which keeps NICs busy:
 * payloads get those as quiet as they were that it was not on.
 */
void pk_net_stack_quiet(void);

#endif
