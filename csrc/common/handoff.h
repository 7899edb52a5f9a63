/* SPDX-License-Identifier: Apache-2.0 */
/* Sealing and checking the handoff. */
#ifndef PK_COMMON_HANDOFF_H
#define PK_COMMON_HANDOFF_H

#include <pykexec/abi.h>

enum pk_handoff_fault {
	PK_HANDOFF_OK,
	PK_HANDOFF_BAD_MAGIC,
	PK_HANDOFF_BAD_VERSION,
	PK_HANDOFF_BAD_SIZE,
	PK_HANDOFF_BAD_CHECKSUM,
	PK_HANDOFF_BAD_ENTRY,	/* resume_entry or the handoff itself lies outside the stub */
};

/* Fill in magic, version, sizes and checksum; everything else is already there. */
void pk_handoff_seal(struct pk_handoff *handoff);

/*
 * Check size bytes at handoff, which live at physical address. Nothing beyond
 * size bytes is read. address 0 skips the test that it lies inside the stub.
 */
enum pk_handoff_fault pk_handoff_check(const void *handoff, u64 size, u64 address);

#endif
