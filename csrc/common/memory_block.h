/* SPDX-License-Identifier: Apache-2.0 */
/* Block I/O on memory (UEFI 2.10, 13.9), for the RAM disk driver and for the stub's own disks. */
#ifndef PK_COMMON_MEMORY_BLOCK_H
#define PK_COMMON_MEMORY_BLOCK_H

#include <efi/protocols.h>

struct pk_memory_block {
	struct efi_block_io io;		/* what the firmware is given; it calls back with its address */
	struct efi_block_io_media media;
	u64 start;
};

/*
 * Serve [start, start + size) in blocks of block_size bytes. The firmware may have block->io once
 * it does not move any more. False: the size is no whole number of blocks.
 */
bool pk_memory_block_init(struct pk_memory_block *block, u64 start, u64 size, u32 block_size, bool read_only);

#endif
