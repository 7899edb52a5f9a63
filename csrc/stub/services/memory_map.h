/* SPDX-License-Identifier: Apache-2.0 */
/* Memory as Linux has it. */
#ifndef PK_STUB_MEMORY_MAP_H
#define PK_STUB_MEMORY_MAP_H

#include <common/arena.h>
#include <stub/lib/call.h>

/* What Linux has of its memory, as long as it asks boot services for it. */
extern struct pk_arena pk_linux_arena;
u64 pk_arena_peak(void);
efi_status_t pk_linux_memory_map(void *out, u64 capacity, u64 *ret_size, u64 *ret_step, u32 *ret_version);
/* The buffer that the firmware's own map is read into. */
void pk_memory_map_release(void);
efi_status_t pk_memory_map(struct pk_call *call);

#endif
