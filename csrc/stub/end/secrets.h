/* SPDX-License-Identifier: Apache-2.0 */
/* What must not outlive Linux in memory. */
#ifndef PK_STUB_SECRETS_H
#define PK_STUB_SECRETS_H

#include <stub/lib/call.h>

/* What empties the places outside of Linux' memory through which its secrets pass; the array stays ours. */
void pk_secrets_init(void (*const *wipes)(void), u32 nr_wipes);
/* From now on Linux' memory counts as secret, until it is wiped. */
efi_status_t pk_secrets_announce(struct pk_call *call);
bool pk_secrets_announced(void);
/* Linux has just ended: nothing of it stays in vector registers, which the firmware's handlers put on its stack. */
void pk_secrets_wipe_registers(void);
/* The arena and everything else that Linux could write to; nothing if none were announced. */
void pk_secrets_wipe(void);

#endif
