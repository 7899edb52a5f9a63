/* SPDX-License-Identifier: Apache-2.0 */
/* The stub's own sections. */
#ifndef PK_STUB_SECTIONS_H
#define PK_STUB_SECTIONS_H

#include <efi/types.h>
#include <pykexec/abi.h>

struct pk_sections {
	struct pk_range kernel;		/* addresses in memory; size 0: absent */
	struct pk_range initrd;
	struct pk_range command_line;
};
extern struct pk_sections pk_sections;
efi_status_t pk_sections_find(void);

#endif
