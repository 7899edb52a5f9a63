/* SPDX-License-Identifier: Apache-2.0 */
/* The mailbox: a message of requests in, a message of replies out. */
#ifndef PK_STUB_MAILBOX_H
#define PK_STUB_MAILBOX_H

#include <efi/types.h>

void pk_mailbox_init(void);
/* Before the switch: does the message ask for something that must not find the firmware's timer standing? */
bool pk_mailbox_needs_timers(u64 size);
/* In the firmware's world: answer the message of size bytes in pk_mailbox_input. */
efi_status_t pk_mailbox_serve(u64 size);
/* PK_MESSAGE_MAX bytes each; the input is also the bounce buffer of variables. */
extern u8 *const pk_mailbox_input;
extern u8 *const pk_mailbox_output;
extern u64 pk_mailbox_output_size;

/* Nothing of what passed through stays. */
void pk_mailbox_wipe(void);

#endif
