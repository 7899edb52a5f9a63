/* SPDX-License-Identifier: Apache-2.0 */
/* One row a kind of machine state: how it is read, put back, compared. */
#ifndef PK_STUB_STATE_ITEMS_H
#define PK_STUB_STATE_ITEMS_H

#include <pykexec/abi.h>

/* Which part of the gate switches the item, beside enum pk_state_flags. */
enum pk_state_item_flags {
	PK_ITEM_EXTERNAL	= 0x100,	/* 8259 and IOAPIC: masked while the worlds change */
	PK_ITEM_LOCAL		= 0x200,	/* local APIC, debug and performance registers */
	PK_ITEM_LEAN		= 0x400,	/* also by a lean switch: what needs no interrupt controller to fire */
	PK_ITEM_PROBED		= 0x800,	/* an MSR that may fault although present() says yes */
	PK_ITEM_INTERNAL_FLAGS	= 0xf00,
};

struct pk_state_item {
	const char *name;
	u64 (*read)(u32 which, u32 index);
	void (*write)(u32 which, u32 index, u64 value);	/* NULL: gate.S restores it, or nobody changes it */
	u32 which;		/* register, port, MSR ... for read and write */
	u32 flags;		/* enum pk_state_flags, enum pk_state_item_flags */
	u64 compare;		/* bits that must be equal afterwards */
	bool (*present)(void);	/* NULL: always */
	u32 (*count)(void);	/* NULL: one value */
	u32 (*label)(u32 index);	/* what the report prints behind the name; NULL: the index, if count */
};

enum { PK_STATE_ITEMS_MAX = 128 };

/* In the order in which they are written back. */
extern const struct pk_state_item pk_state_items[];
extern const u32 pk_nr_state_items;

/* Walk the PCI functions that are there now; later calls of the items' count() use the list. */
void pk_state_scan_pci(void);

#endif
