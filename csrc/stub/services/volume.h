/* SPDX-License-Identifier: Apache-2.0 */
/* Files on the firmware's volumes (UEFI 2.10, 13.4-13.5), read only. */
#ifndef PK_STUB_VOLUME_H
#define PK_STUB_VOLUME_H

#include <stub/lib/call.h>

efi_status_t pk_volume_info(struct pk_call *call);

/* body: struct pk_file_request and its path; out: struct pk_file_reply and the data. */
efi_status_t pk_file_read(struct pk_call *call);

/* The path of our own image on its volume, terminated; empty when it did not come from a file. */
void pk_image_path(u16 *out, u64 capacity);

#endif
