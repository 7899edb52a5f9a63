/* SPDX-License-Identifier: Apache-2.0 */
/* The NVDIMM Firmware Interface Table (ACPI 6.5, 5.2.25), as far as it announces RAM disks. */
#ifndef PK_COMMON_NFIT_H
#define PK_COMMON_NFIT_H

#include <pykexec/types.h>

/* Does the NFIT of size bytes, header included, have a range of just these limits? */
bool pk_nfit_has(const void *nfit, u64 size, u64 range_start, u64 range_size);

#endif
