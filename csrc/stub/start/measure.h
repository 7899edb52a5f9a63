/* SPDX-License-Identifier: Apache-2.0 */
/* Measure our sections. */
#ifndef PK_STUB_MEASURE_H
#define PK_STUB_MEASURE_H

#include <efi/types.h>
#include <pykexec/types.h>

/*
 * Extend our sections into PCR 11 as systemd-stub does. No TPM is not an error, and no room in the
 * firmware's log neither: *ret_flags tells (PK_INFO_MEASURED, PK_INFO_LOG_FULL).
 */
efi_status_t pk_measure_sections(u32 *ret_flags);

#endif
