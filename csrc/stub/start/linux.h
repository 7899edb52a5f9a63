/* SPDX-License-Identifier: Apache-2.0 */
/* One Linux, from its layout in the arena to its end. */
#ifndef PK_STUB_LINUX_H
#define PK_STUB_LINUX_H

#include <efi/types.h>

efi_status_t pk_linux_prepare(void);
/* Comes back when Linux has ended, by whatever way; interrupts are still off. */
void pk_linux_run(void);

#endif
