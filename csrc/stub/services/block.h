/* SPDX-License-Identifier: Apache-2.0 */
/* Block I/O for Linux. */
#ifndef PK_STUB_BLOCK_H
#define PK_STUB_BLOCK_H

#include <stub/lib/call.h>

efi_status_t pk_block_info(struct pk_call *call);
efi_status_t pk_block_read(struct pk_call *call);
efi_status_t pk_block_transfer(struct pk_call *call);
efi_status_t pk_block_refresh(struct pk_call *call);

/* Disconnect and connect again every disk that Linux wrote to: partitions and file systems are read anew. */
void pk_block_reconnect(void);
/* Sectors that had to take a detour stay nowhere. */
void pk_block_wipe(void);

#endif
