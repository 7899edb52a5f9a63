/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32 as in UEFI 2.10 4.2 (zlib's polynomial). */
#ifndef PK_COMMON_CRC32_H
#define PK_COMMON_CRC32_H

#include <pykexec/types.h>

/* seed is 0, or the result for the bytes before. */
u32 pk_crc32(u32 seed, const void *data, u64 size);

#endif
