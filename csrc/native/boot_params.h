/* SPDX-License-Identifier: Apache-2.0 */
/* What the running kernel was told by its EFI stub (struct boot_params). */
#ifndef PK_NATIVE_BOOT_PARAMS_H
#define PK_NATIVE_BOOT_PARAMS_H

#include <pykexec/types.h>

/*
 * Do the size bytes that /sys/kernel/boot_params/data has say that Secure Boot is
 * off? False as well where they say nothing of it, or that nobody knows.
 */
bool pk_secure_boot_is_off(const void *boot_params, u64 size);

#endif
