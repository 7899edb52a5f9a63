/* SPDX-License-Identifier: Apache-2.0 */
/* Block I/O for Linux. */
#ifndef PK_STUB_BLOCK_H
#define PK_STUB_BLOCK_H

#include <efi/types.h>
#include <pykexec/abi.h>

efi_status_t pk_block_info(u32 handle, void *out, u64 capacity, u64 *ret_size);
efi_status_t pk_block_read(const struct pk_block_request *request, void *out, u64 capacity, u64 *ret_size);
efi_status_t pk_block_transfer(struct pk_descriptor *descriptor, u8 *data);
/* Disconnect and connect again every disk that Linux wrote to: partitions and file systems are read anew. */
efi_status_t pk_block_refresh(void);

/* Sectors that had to take a detour stay nowhere. */
void pk_block_wipe(void);

#endif
