/* SPDX-License-Identifier: Apache-2.0 */
/* What the firmware's own network boot left in its PXE base code, kept while Linux has the NIC. */
#ifndef PK_STUB_PXE_H
#define PK_STUB_PXE_H

#include <efi/protocols.h>
#include <stub/lib/call.h>

/* Do the size bytes of a device path begin with the nodes of prefix? */
bool pk_path_has_prefix(const void *path, u64 size, const struct efi_device_path *prefix);
/*
 * While handles are held: keep what is started now behind the NIC that nic_path leads to,
 * instead of what was kept of it; NULL: all NICs.
 */
void pk_pxe_save(const struct efi_device_path *nic_path);
/* The same for the NIC of that number. */
void pk_pxe_save_of(u32 number);
/* Its drivers are connected anew: bring their base code to where it was. */
void pk_pxe_restore(u32 number);
/*
 * Once Linux has ended: base code that was restored, and whose servers are behind a router, asks DHCP for
 * it. That takes 4 seconds with EDK II, and a minute where nobody answers.
 */
void pk_pxe_find_routers(void);
efi_status_t pk_net_pxe(struct pk_call *call);

#endif
