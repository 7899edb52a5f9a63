/* SPDX-License-Identifier: Apache-2.0 */
/* Our own EFI_RAM_DISK_PROTOCOL, for firmware that has none (UEFI 2.10, 13.17). */
#ifndef PK_RAMDISK_H
#define PK_RAMDISK_H

#include <common/memory_block.h>
#include <efi/guids.h>
#include <efi/protocols.h>

/* 10.3.5.9; packed in the specification. */
struct ramdisk_node {
	struct efi_device_path header;
	u8 start[8];
	u8 end[8];	/* the last byte */
	efi_guid_t type;
	u8 instance[2];
} __attribute__((packed));
_Static_assert(sizeof(struct ramdisk_node) == 38, "RAM disk device path, UEFI 2.10 10.3.5.9");

struct disk {
	struct disk *next;
	efi_handle_t handle;
	u64 start;
	u64 size;
	efi_guid_t type;
	bool published;		/* in the NFIT */
	struct pk_memory_block block;
	u64 path_size;
	u8 path[] __attribute__((aligned(8)));
};

extern struct efi_system_table *st;
extern struct efi_boot_services *bs;
/* Every disk that is registered. */
extern struct disk *disks;

/* ---- nfit.c ---- */
/* Tell the operating system about a disk in reserved memory; nothing is to be told about any other. */
efi_status_t nfit_publish(struct disk *disk);
void nfit_withdraw(struct disk *disk);

/* What the compiler calls by itself. */
void *memcpy(void *destination, const void *source, size_t size);
void *memset(void *buffer, int value, size_t size);
int memcmp(const void *a, const void *b, size_t size);

#endif
