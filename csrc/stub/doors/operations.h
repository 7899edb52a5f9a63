/* SPDX-License-Identifier: Apache-2.0 */
/* Serving the operations of pykexec/operations.def, whoever brings them. */
#ifndef PK_STUB_OPERATIONS_H
#define PK_STUB_OPERATIONS_H

#include <common/operations.h>
#include <stub/lib/call.h>

/* In the firmware's world: what the line for number says, or why not. */
efi_status_t pk_request_serve(enum pk_carrier carrier, u16 number, struct pk_call *call);
/*
 * The same for a private copy of a descriptor, whose status and result are set. data has
 * room for the larger of size and capacity; Linux may change it meanwhile.
 */
void pk_descriptor_serve(enum pk_carrier carrier, struct pk_descriptor *descriptor, u8 *data);

/* Must it find the firmware's timers running? Also before the switch: of a handle only what is known already counts. */
bool pk_request_needs_timers(enum pk_carrier carrier, u16 number, const void *body, u64 size);
/* In the firmware's world. */
bool pk_descriptor_needs_timers(enum pk_carrier carrier, const struct pk_descriptor *descriptor);

/* TRANSFER: a descriptor and its data as one message, where there is no window. */
efi_status_t pk_transfer(struct pk_call *call);

#endif
