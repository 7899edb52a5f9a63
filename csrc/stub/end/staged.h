/* SPDX-License-Identifier: Apache-2.0 */
/* The image that is to be started: what Linux staged by the mailbox, or brought by kexec. */
#ifndef PK_STUB_STAGED_H
#define PK_STUB_STAGED_H

#include <stub/lib/call.h>

struct pk_payload {
	u64 data;
	u64 size;
	void *device_path;
	bool from_memory;	/* the path is ours, not root's */
	const u16 *options;
	u32 options_size;
	u32 failure_action;
};

efi_status_t pk_payload_stage(struct pk_call *call);
efi_status_t pk_payload_data(struct pk_call *call);
bool pk_payload_ready(void);
/* What PAYLOAD_STAGE and PAYLOAD_DATA brought; false: nothing, or not all of it. */
bool pk_payload_of_mailbox(struct pk_payload *ret);
/* kexec brought the payload as initrd; the command line names what was staged, or is the options. */
bool pk_payload_of_kexec(struct pk_payload *ret);
/* It is not needed any more. */
void pk_payload_forget(void);

/* Linux is locked down: its kernel, which verifies images, is the only one to bring any. */
efi_status_t pk_payload_lock(struct pk_call *call);
bool pk_payload_locked(void);
/* Another Linux starts, which has said nothing yet. */
void pk_payload_unlock(void);

#endif
