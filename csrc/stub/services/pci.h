/* SPDX-License-Identifier: Apache-2.0 */
/* PCI functions for Linux, which looks at none itself: what they are. */
#ifndef PK_STUB_PCI_H
#define PK_STUB_PCI_H

#include <stub/lib/call.h>

efi_status_t pk_pci_info(struct pk_call *call);

#endif
