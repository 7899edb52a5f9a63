/* SPDX-License-Identifier: Apache-2.0 */
/* Where a payload may say that it comes from. */
#ifndef PK_STUB_ORIGIN_H
#define PK_STUB_ORIGIN_H

#include <efi/types.h>

/* EFI_ACCESS_DENIED for a device path that a payload of root's must not have. */
efi_status_t pk_origin_check(const void *path);

#endif
