/* SPDX-License-Identifier: Apache-2.0 */
/* Measure our sections. */
#ifndef PK_STUB_MEASURE_H
#define PK_STUB_MEASURE_H

#include <efi/types.h>

/* Extend our sections into PCR 11 as systemd-stub does. No TPM is not an error: *ret_measured tells. */
efi_status_t pk_measure_sections(bool *ret_measured);

#endif
