/* SPDX-License-Identifier: Apache-2.0 */
/* Does the firmware's time go on, once Linux has had its turn? */
#ifndef PK_STUB_TICK_CHECK_H
#define PK_STUB_TICK_CHECK_H

#include <efi/types.h>

/*
 * Count ticks, keep the firmware waiting for longer than one as the gate does, count again.
 * EFI_TIMEOUT, with the reason printed, if there are none; the state must have been saved.
 */
efi_status_t pk_tick_check(void);

#endif
