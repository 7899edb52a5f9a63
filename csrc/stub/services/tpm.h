/* SPDX-License-Identifier: Apache-2.0 */
/* The TPM for Linux. */
#ifndef PK_STUB_TPM_H
#define PK_STUB_TPM_H

#include <efi/types.h>
#include <pykexec/abi.h>

efi_status_t pk_tpm_info(void *out, u64 capacity, u64 *ret_size);
efi_status_t pk_tpm_command(struct pk_descriptor *descriptor, u8 *data);
efi_status_t pk_tpm_event_log(const struct pk_event_log_request *request, void *out, u64 capacity, u64 *ret_size);
/* struct pk_tpm_event and its data, size bytes in all. */
efi_status_t pk_tpm_event(const void *body, u64 size);

#endif
