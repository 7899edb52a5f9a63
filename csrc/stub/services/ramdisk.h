/* SPDX-License-Identifier: Apache-2.0 */
/* RAM disks that Linux fills and the firmware serves. */
#ifndef PK_STUB_RAMDISK_H
#define PK_STUB_RAMDISK_H

#include <stub/lib/call.h>

efi_status_t pk_ramdisk_create(struct pk_call *call);
efi_status_t pk_ramdisk_data(struct pk_call *call);
efi_status_t pk_ramdisk_register(struct pk_call *call);
efi_status_t pk_ramdisk_remove(struct pk_call *call);
efi_status_t pk_ramdisk_list(struct pk_call *call);

/*
 * The firmware gets the machine back: what the disks held must not stay behind. EFI_ACCESS_DENIED:
 * a driver goes on calling a disk of our own, so that the stub must not be freed.
 */
efi_status_t pk_ramdisk_release(void);

#endif
