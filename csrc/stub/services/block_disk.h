/* SPDX-License-Identifier: Apache-2.0 */
/* Disks that the stub serves itself, in the shape that Windows' boot manager is known to read. */
#ifndef PK_STUB_BLOCK_DISK_H
#define PK_STUB_BLOCK_DISK_H

#include <common/memory_block.h>
#include <efi/protocols.h>

enum { PK_BLOCK_DISK_BLOCK_SIZE = 512 };

/*
 * VenHw(...)/Ata(Primary,Master,0), as wimboot's disk has it, which Windows boots from since Vista:
 * it ends in a messaging node, as a disk's in a machine does, where a RAM disk's ends in a media
 * node. Only the GUID is ours, and another one for each disk.
 */
struct pk_block_disk_path {
	struct efi_device_path vendor;
	u8 guid[16];
	struct efi_device_path atapi;
	u8 secondary;
	u8 slave;
	u8 unit[2];
	struct efi_device_path end;
};
_Static_assert(sizeof(struct pk_block_disk_path) == 32, "device path, UEFI 2.10 10.3.2.5 and 10.3.4.1");

/* Must not move while it is installed: the firmware has its addresses. */
struct pk_block_disk {
	efi_handle_t handle;	/* NULL: not installed */
	struct pk_memory_block block;
	struct pk_block_disk_path path;
};

/*
 * Give the firmware a handle with Block I/O on [start, start + size), read only, and have its
 * drivers look for partitions. No two disks may have the same number.
 */
efi_status_t pk_block_disk_install(struct pk_block_disk *disk, u64 start, u64 size, u32 number, bool removable);
/* EFI_ACCESS_DENIED while a driver does not let go of it: then it must go on being served. */
efi_status_t pk_block_disk_uninstall(struct pk_block_disk *disk);

#endif
