/* SPDX-License-Identifier: Apache-2.0 */
/* Log what our image is. */
#ifndef PK_STUB_MEASURE_H
#define PK_STUB_MEASURE_H

#include <efi/types.h>
#include <pykexec/types.h>

/*
 * Log what the image says of its sections, into PCR 5, where a boot manager's configuration belongs; with
 * sections also these, into PCR 11, as systemd-stub does. No TPM is not an error, and no room in the
 * firmware's log neither: *ret_flags tells (PK_INFO_MEASURED, PK_INFO_LOG_FULL).
 */
efi_status_t pk_measure_image(bool sections, u32 *ret_flags);

#endif
