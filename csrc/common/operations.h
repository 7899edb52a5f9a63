/* SPDX-License-Identifier: Apache-2.0 */
/* What the table of operations (pykexec/operations.def) says of each, and what is refused for it. */
#ifndef PK_COMMON_OPERATIONS_H
#define PK_COMMON_OPERATIONS_H

#include <efi/types.h>
#include <pykexec/abi.h>

/* By which way something is asked. */
enum pk_carrier {
	PK_CARRIER_MAILBOX	= 1,	/* a request in a message */
	PK_CARRIER_NATIVE	= 2,	/* Linux' kernel, which verifies what it brings */
	PK_CARRIER_WINDOW	= 4,	/* a descriptor in the window */
	PK_CARRIER_TRANSFER	= 8,	/* a descriptor in a TRANSFER request */
};

enum pk_timers {
	PK_TIMERS_NEVER		= 0,
	PK_TIMERS_ALWAYS	= 1,
	PK_TIMERS_HANDLE	= 2,	/* if the drivers of the handle that is named wait for them */
};

/* What IMAGE_LOCK leaves of an operation for all but Linux' kernel. */
enum pk_lock {
	PK_LOCK_OPEN		= 0,	/* all: it has nothing to do with images */
	PK_LOCK_CLOSED		= 1,	/* nothing */
	PK_LOCK_KEXEC		= 2,	/* staging what kexec will bring, which the kernel verifies */
};

/* A line of the table. */
struct pk_operation {
	u16 number;	/* enum pk_op */
	u16 carriers;	/* enum pk_carrier */
	u16 timers;	/* enum pk_timers */
	u16 lock;	/* enum pk_lock */
	u32 smallest;	/* bytes of a body */
	u32 only_read;	/* the data of its descriptor are: no answer has them */
};

extern const struct pk_operation pk_operations[];
extern const u32 pk_nr_operations;

/* The line by which this carrier (one of enum pk_carrier) brings this number, NULL for none. */
const struct pk_operation *pk_operation_find(u32 number, u32 carrier);

/* Is it brought by descriptors? Their data are worked on where they lie. */
bool pk_operation_takes_descriptors(const struct pk_operation *operation);

/*
 * May the handler be called? locked: after IMAGE_LOCK. EFI_UNSUPPORTED without an operation,
 * EFI_ACCESS_DENIED behind the lock, EFI_INVALID_PARAMETER for a body of too few bytes.
 */
efi_status_t pk_operation_admit(const struct pk_operation *operation, u32 carrier, bool locked, const void *body,
				u64 size);

#endif
