/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A firmware on the host, whose devices come and go as those of real ones do: while its
 * timers run and nobody holds TPL_CALLBACK, or out of a driver's own call. What is freed is
 * poisoned for AddressSanitizer, and the next thing of its kind comes at the same addresses.
 */
#ifndef PK_FUZZ_WORLD_H
#define PK_FUZZ_WORLD_H

#include <efi/protocols.h>

enum world_kind {
	WORLD_DISK,		/* on PCI itself: polls */
	WORLD_CDROM,		/* SATA, removable, with a partition */
	WORLD_USB_DISK,		/* waits for timer events */
	WORLD_RAID,		/* on PCI itself, too, but waits for timer events */
	WORLD_NIC,
	WORLD_USB_NIC,		/* waits for timer events */
	WORLD_PLUGGED,		/* so many kinds can be plugged in */
	WORLD_PARTITION = WORLD_PLUGGED,
	WORLD_RAM_DISK,
	WORLD_OWN_DISK,		/* that the stub serves itself */
};

enum world_action {
	WORLD_NOTHING,
	WORLD_PLUG,		/* a device of kind which */
	WORLD_UNPLUG,		/* device number which of those that are there */
	WORLD_SWAP,		/* another one of its kind in its place: same path, same addresses */
	WORLD_MEDIUM,		/* another medium with another id */
	WORLD_STICK,		/* the driver of a RAM disk no longer lets go of it */
	WORLD_NR_ACTIONS,
};

/* Power on: the system table, with a device of each kind that can be plugged in. */
struct efi_system_table *world_reset(void);
/* Free what is left of it. */
void world_end(void);
/* After delay more calls into it action happens, as soon as it can. False: too much is planned already. */
bool world_plan(u32 delay, enum world_action action, u32 which);
/* The processor enters it, with its timers running or not, and leaves it. */
void world_enter(bool timers_run);
void world_leave(void);

/* Is there nothing left on RAM disks, the stub's own among them? */
bool world_disks_are_empty(void);
/* Does a driver still have one that the stub serves? */
bool world_has_own_disks(void);

/* Who is behind a number, for what a driver has just answered: serials are never used twice. */
enum { WORLD_SERIAL_SIZE = 4 };
/* Bytes that variables have left now. */
u64 world_variables_left(void);
/* Of pages that were given out: is [address, address + size) among them? */
bool world_owns(u64 address, u64 size);

#endif
