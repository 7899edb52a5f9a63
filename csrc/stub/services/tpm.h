/* SPDX-License-Identifier: Apache-2.0 */
/* The TPM for Linux. */
#ifndef PK_STUB_TPM_H
#define PK_STUB_TPM_H

#include <stub/lib/call.h>

efi_status_t pk_tpm_info(struct pk_call *call);
efi_status_t pk_tpm_command(struct pk_call *call);
efi_status_t pk_tpm_event_log(struct pk_call *call);
efi_status_t pk_tpm_event(struct pk_call *call);

#endif
