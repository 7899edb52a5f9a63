/* SPDX-License-Identifier: Apache-2.0 */
/* Memory as Linux has it. */
#ifndef PK_STUB_MEMORY_MAP_H
#define PK_STUB_MEMORY_MAP_H

#include <common/arena.h>
#include <efi/types.h>

/* What Linux has of its memory, as long as it asks boot services for it. */
extern struct pk_arena pk_linux_arena;
u64 pk_arena_peak(void);
efi_status_t pk_linux_memory_map(void *out, u64 capacity, u64 *ret_size, u64 *ret_step, u32 *ret_version);
/* kind: enum pk_memory_map_kind. */
efi_status_t pk_memory_map(u32 kind, void *out, u64 capacity, u64 *ret_size);

#endif
