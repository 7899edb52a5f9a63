/* SPDX-License-Identifier: Apache-2.0 */
/* Simple Network for Linux. */
#ifndef PK_STUB_NET_H
#define PK_STUB_NET_H

#include <stub/lib/call.h>

efi_status_t pk_net_info(struct pk_call *call);
efi_status_t pk_net_open(struct pk_call *call);
efi_status_t pk_net_close(struct pk_call *call);
efi_status_t pk_net_exchange(struct pk_call *call);
efi_status_t pk_net_statistics(struct pk_call *call);

/* Linux has ended: every NIC that it took is shut down and the firmware's again. */
void pk_net_release(void);

#endif
