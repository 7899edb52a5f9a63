/* SPDX-License-Identifier: Apache-2.0 */
/* Where our image came from. */
#ifndef PK_STUB_BOOT_DEVICE_H
#define PK_STUB_BOOT_DEVICE_H

#include <stub/lib/call.h>

void pk_boot_device_init(void);
/* NULL when it has gone; reconnecting a driver makes a new handle for the same path. */
efi_handle_t pk_boot_device(void);

/* Is it, to its end, the path of a Load File protocol that our image came from? */
bool pk_boot_device_loads(const void *path);

/* The device path that our image was loaded from, file path included. */
efi_status_t pk_boot_path(struct pk_call *call);

#endif
