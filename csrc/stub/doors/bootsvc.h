/* SPDX-License-Identifier: Apache-2.0 */
/* The native way in, for a Linux that knows the configuration table. */
#ifndef PK_STUB_BOOTSVC_H
#define PK_STUB_BOOTSVC_H

#include <efi/types.h>
#include <pykexec/bootsvc.h>

/* struct pk_bootsvc_table, as it is for the Linux that is about to start. */
void *pk_bootsvc_table(void);

/* What was answered stays nowhere. */
void pk_bootsvc_wipe(void);

#endif
