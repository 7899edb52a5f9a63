/* SPDX-License-Identifier: Apache-2.0 */
/* Device paths as untrusted bytes (UEFI 2.10, 10.3.1). */
#ifndef PK_COMMON_DEVICE_PATH_H
#define PK_COMMON_DEVICE_PATH_H

#include <efi/types.h>

/* Bytes of the path at data, end node included; 0 when no end node is reached within capacity. */
u64 pk_device_path_size(const void *data, u64 capacity);

/* Is the path the vendor media node that Linux asks its initrd by, and an end node? */
bool pk_device_path_is_initrd(const void *data, u64 capacity);

/*
 * What may follow a volume's path, and a network card's, up to the end node: file path nodes
 * (10.3.5.4), addresses, name servers and URIs (10.3.4). Firmware trusts some other tails without
 * looking at what lies there, that of an option ROM for one.
 */
bool pk_device_path_is_file(const void *data, u64 capacity);
bool pk_device_path_is_address(const void *data, u64 capacity);

/*
 * base without its end node, a file path node for the UCS-2 path, an end node.
 * 0: base is malformed or the result does not fit.
 */
u64 pk_device_path_append_file(const void *base, u64 base_size, const u16 *path, void *out, u64 capacity);

/* MemoryMapped(type, start, end) and an end node (10.3.2.4); end is the last byte. 0: does not fit. */
u64 pk_device_path_memory(u32 type, u64 start, u64 end, void *out, u64 capacity);

#endif
