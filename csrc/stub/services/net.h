/* SPDX-License-Identifier: Apache-2.0 */
/* Simple Network for Linux. */
#ifndef PK_STUB_NET_H
#define PK_STUB_NET_H

#include <efi/types.h>
#include <pykexec/abi.h>

/* What the firmware's own network boot left, before anybody disturbs it. */
void pk_net_init(void);
efi_status_t pk_net_info(u32 handle, void *out, u64 capacity, u64 *ret_size);
efi_status_t pk_net_open(u32 handle, void *out, u64 capacity, u64 *ret_size);
efi_status_t pk_net_close(u32 handle);
efi_status_t pk_net_exchange(struct pk_descriptor *descriptor, u8 *data);
efi_status_t pk_net_statistics(u32 handle, void *out, u64 capacity, u64 *ret_size);
/* Linux has ended: every NIC that it took is shut down and the firmware's again. */
void pk_net_release(void);

#endif
