/* SPDX-License-Identifier: Apache-2.0 */
/* Has anybody written where only the firmware should? */
#ifndef PK_STUB_FIRMWARE_RAM_H
#define PK_STUB_FIRMWARE_RAM_H

#include <stub/lib/call.h>

/*
 * Before the first Linux, in an image that certifies: from now on the operation is served, and what
 * is safe to read, runtime services' and ACPI's memory, has its digests.
 */
void pk_firmware_ram_init(void);
void pk_firmware_ram_deinit(void);

/* body: struct pk_ram_request; out: struct pk_ram_reply and struct pk_ram_range for what differs. */
efi_status_t pk_firmware_ram(struct pk_call *call);

#endif
