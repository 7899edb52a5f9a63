/* SPDX-License-Identifier: Apache-2.0 */
/* RAM disks that Linux fills and the firmware serves. */
#ifndef PK_STUB_RAMDISK_H
#define PK_STUB_RAMDISK_H

#include <efi/types.h>
#include <pykexec/abi.h>

efi_status_t pk_ramdisk_create(const struct pk_ramdisk_request *request, void *out, u64 capacity, u64 *ret_size);
efi_status_t pk_ramdisk_data(const void *body, u64 size);
efi_status_t pk_ramdisk_register(u32 ramdisk, void *out, u64 capacity, u64 *ret_size);
efi_status_t pk_ramdisk_remove(u32 ramdisk);
efi_status_t pk_ramdisk_list(void *out, u64 capacity, u64 *ret_size);
/* The firmware gets the machine back: what the disks held must not stay behind. */
void pk_ramdisk_release(void);

#endif
