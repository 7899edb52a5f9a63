/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors, handed to the device that they name. */
#ifndef PK_STUB_TRANSFER_H
#define PK_STUB_TRANSFER_H

#include <pykexec/abi.h>

/*
 * Do what a private copy of a descriptor says and set its status and result. data
 * has room for the larger of size and capacity; Linux may change it meanwhile.
 */
void pk_transfer(struct pk_descriptor *descriptor, u8 *data);

#endif
