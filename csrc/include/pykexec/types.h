/* SPDX-License-Identifier: Apache-2.0 */
/* Fixed-width integer names, as the kernel spells them. */
#ifndef PYKEXEC_TYPES_H
#define PYKEXEC_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#endif
