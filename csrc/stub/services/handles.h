/* SPDX-License-Identifier: Apache-2.0 */
/* The firmware's handles for Linux. */
#ifndef PK_STUB_HANDLES_H
#define PK_STUB_HANDLES_H

#include <stub/lib/call.h>

u32 pk_handles_count(void);

efi_status_t pk_handles_list(struct pk_call *call);
/* ConnectController on every handle. */
efi_status_t pk_handles_connect(struct pk_call *call);

#endif
