/* SPDX-License-Identifier: Apache-2.0 */
/* Where our image came from. */
#ifndef PK_STUB_BOOT_DEVICE_H
#define PK_STUB_BOOT_DEVICE_H

#include <efi/types.h>

void pk_boot_device_init(void);
/* NULL when it has gone; reconnecting a driver makes a new handle for the same path. */
efi_handle_t pk_boot_device(void);
efi_status_t pk_boot_path(void *out, u64 capacity, u64 *ret_size);

#endif
