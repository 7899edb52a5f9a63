/* SPDX-License-Identifier: Apache-2.0 */
/* Images that the running Linux has the firmware start. */
#ifndef PK_STUB_IMAGE_H
#define PK_STUB_IMAGE_H

#include <stub/lib/call.h>

/* Load and start what PAYLOAD_STAGE and PAYLOAD_DATA brought, with Linux waiting. */
efi_status_t pk_image_start(struct pk_call *call);

#endif
