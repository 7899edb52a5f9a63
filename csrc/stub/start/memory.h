/* SPDX-License-Identifier: Apache-2.0 */
/* Linux' memory: taken from the firmware, handed out by services of ours, given back. */
#ifndef PK_STUB_MEMORY_H
#define PK_STUB_MEMORY_H

#include <efi/protocols.h>

efi_status_t pk_arena_allocate(u64 mib);
void pk_arena_release(void);
/* Empty again, for the next Linux, and executable until the first call from it. */
efi_status_t pk_arena_reset(void);
efi_status_t pk_arena_pages(u32 type, u64 nr_pages, u64 *ret_start);
/* What Linux' EFI stub has allocated from the pool that begins with these bytes; NULL: nothing. */
void *pk_arena_find_pool(const void *start, u64 size);
void pk_arena_hook(struct efi_boot_services *services);
u64 pk_arena_map_key(void);

#endif
