// SPDX-License-Identifier: Apache-2.0
/* EFI drivers and applications that the running Linux has the firmware load, start and measure. */
#include "devices.h"

efi_status_t pk_image_start(void *out, u64 capacity, u64 *ret_size)
{
	(void)out, (void)capacity, (void)ret_size;
	return EFI_UNSUPPORTED;
}
