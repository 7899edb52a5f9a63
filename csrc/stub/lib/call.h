/* SPDX-License-Identifier: Apache-2.0 */
/* One operation being served, in the firmware's world: what the handlers of the table get. */
#ifndef PK_STUB_CALL_H
#define PK_STUB_CALL_H

#include <efi/types.h>

/*
 * A request has its body here and room for an answer. A descriptor is the body itself, and
 * the answer is where its data lie, both before and afterwards: capacity is the larger of
 * its size and capacity, and Linux may change them meanwhile.
 */
struct pk_call {
	const void *body;	/* a copy that Linux cannot change any more; 8-byte aligned */
	u64 size;		/* of the body, at least what the table asks for */
	void *answer;
	u64 capacity;		/* of the answer */
	u64 answered;		/* out: bytes of it; 0 until they are set */
};

/* Answer by a struct: EFI_BUFFER_TOO_SMALL if there is no room for it. */
efi_status_t pk_answer(struct pk_call *call, const void *reply, u64 size);

#endif
