/* SPDX-License-Identifier: Apache-2.0 */
/* What a machine must not be for the gate to work: said before anything is done. */
#ifndef PK_STUB_PLATFORM_H
#define PK_STUB_PLATFORM_H

#include <efi/types.h>

/* EFI_UNSUPPORTED, with the reason on the console, where Linux and the firmware could not take turns. */
efi_status_t pk_platform_check(void);

#endif
