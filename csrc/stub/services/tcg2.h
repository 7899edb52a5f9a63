/* SPDX-License-Identifier: Apache-2.0 */
/* The firmware's EFI_TCG2_PROTOCOL. */
#ifndef PK_STUB_TCG2_H
#define PK_STUB_TCG2_H

#include <efi/protocols.h>

efi_status_t pk_tcg2_locate(struct efi_tcg2 **ret, struct efi_tcg2_capability *ret_capability);
/* Extend pcr by the digest of data; the log gets an event of that type whose data is text, at most PK_TPM_EVENT_MAX. */
efi_status_t pk_tcg2_extend(struct efi_tcg2 *tcg2, u32 pcr, u32 type, const void *data, u64 size, const void *text,
			    u64 text_size);

#endif
