/* SPDX-License-Identifier: Apache-2.0 */
/* The firmware's handles under numbers of ours. */
#ifndef PK_STUB_HANDLES_H
#define PK_STUB_HANDLES_H

#include <stub/lib/call.h>

/* 0 when the table is full. Numbers start at 1 and are never reused. */
u32 pk_handle_number(efi_handle_t handle);
/* EFI_NOT_FOUND also when the firmware has dropped the handle since. */
efi_status_t pk_handle_lookup(u32 number, const efi_guid_t *protocol, void **ret);
/* NULL for a number that was never given out; the handle may be gone. */
efi_handle_t pk_handle_of(u32 number);
u32 pk_handles_count(void);

efi_status_t pk_handles_list(struct pk_call *call);
/* ConnectController on every handle. */
efi_status_t pk_handles_connect(struct pk_call *call);

#endif
