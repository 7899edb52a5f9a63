/* SPDX-License-Identifier: Apache-2.0 */
/* What the mailbox serves. */
#ifndef PK_STUB_SERVICES_H
#define PK_STUB_SERVICES_H

#include <efi/types.h>

/* measured: our sections were extended into PCR 11. */
void pk_services_init(bool measured);
efi_status_t pk_service(u16 op, const void *body, u64 body_size, void *out, u64 capacity, u64 *ret_size);

#endif
