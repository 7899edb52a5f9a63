/* SPDX-License-Identifier: Apache-2.0 */
/* How this Linux ends: who ends it tells us, and a Linux of which nothing was told has used kexec. */
#ifndef PK_STUB_LEAVE_H
#define PK_STUB_LEAVE_H

#include <pykexec/abi.h>
#include <stub/lib/call.h>

struct pk_leave {
	bool requested;		/* by the mailbox or ResetSystem; else kexec */
	u32 action;		/* enum pk_action */
	u32 reset_type;		/* for PK_ACTION_RESET */
};
extern struct pk_leave pk_leave;

/* Does this action start Linux once more, from the image in memory? */
static inline bool pk_action_starts_linux(u32 action)
{
	return action == PK_ACTION_AGENT || action == PK_ACTION_SHELL;
}

/* Another Linux is about to start. */
void pk_leave_init(void);
/* The agent asks for it. */
efi_status_t pk_leave_request(struct pk_call *call);
/* ResetSystem was called: a payload that was staged, or the reset. What was asked for before counts. */
void pk_leave_reset(u32 type);
/* Linux has not come up: its EFI stub gave up. */
void pk_leave_give_up(void);

#endif
