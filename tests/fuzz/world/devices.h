/* SPDX-License-Identifier: Apache-2.0 */
/* What the world's files have of each other. */
#ifndef PK_FUZZ_DEVICES_H
#define PK_FUZZ_DEVICES_H

#include "world.h"

enum {
	NR_DEVICES = 24,
	PATH_MAX_SIZE = 64,
};

/* Handle, interfaces and path in one piece: poisoned as a whole when the device has gone. */
struct device {
	u64 signature;
	enum world_kind kind;
	u32 serial;
	bool new_medium;	/* the driver notices it at the next call */
	bool written;
	bool stuck;		/* a driver above does not let go */
	u64 start, size;	/* of a RAM disk */
	/* Of the stub's own disks; NULL until they are installed. */
	void *own_path;
	struct efi_block_io *own_block;
	struct device *parent;
	struct efi_pci_io pci;
	struct efi_block_io block;
	struct efi_block_io_media media;
	struct efi_simple_network network;
	struct efi_simple_network_mode mode;
	u8 path[PATH_MAX_SIZE];
	u64 sent[64];
	u32 nr_sent;
};

/* ---- devices.c ---- */
void devices_reset(void);
/* NULL: no room. */
struct device *devices_plug(enum world_kind kind, u32 port, u64 start, u64 size);
void devices_unplug(struct device *device);
void devices_swap(struct device *device);
/* Number n of those that are there, or NULL. */
struct device *devices_at(u32 n);
/* Of a handle that may be anything. */
struct device *devices_valid(efi_handle_t handle);
/* NULL: it has no such interface. */
void *devices_interface(struct device *device, const efi_guid_t *protocol);
/* The driver has the handle look as if it were new. */
void devices_installed(struct device *device, const efi_guid_t *protocol);
/* What drivers above a disk do when it is reinstalled. */
void devices_drop_partitions(struct device *device);
void devices_find_partitions(struct device *device);

/* ---- screen.c ---- */
void console_fill(struct efi_system_table *table);
/* NULL: it is no handle of the console's, or has no such interface. */
void *console_interface(const void *handle, const efi_guid_t *protocol);

/* ---- time.c ---- */
void time_reset(void);
void time_fill(struct efi_boot_services *boot);
/* A driver was called: is what it needs there? */
void world_called(const struct device *device);
/* A call into the world is about to come back: time goes by. */
void world_returns(void);
/* An interface was installed: who registered is told, as soon as it may be. */
void world_signal(const efi_guid_t *protocol, struct device *device);
/* A device has gone: nobody is told. */
void world_forget(struct device *device);

/* ---- memory.c ---- */
void memory_fill(struct efi_boot_services *boot);
/* NULL: there is no more. */
void *memory_take(u64 size, u64 alignment);
void memory_give(void *start);

#endif
