/* SPDX-License-Identifier: Apache-2.0 */
/* The private runtime services. */
#ifndef PK_STUB_RUNTIME_H
#define PK_STUB_RUNTIME_H

#include <efi/protocols.h>

void pk_runtime_fill(struct efi_runtime_services *services);

#endif
