/* SPDX-License-Identifier: Apache-2.0 */
/* The Linux/x86 boot protocol's setup header as untrusted bytes. */
#ifndef PK_COMMON_BZIMAGE_H
#define PK_COMMON_BZIMAGE_H

#include <pykexec/types.h>

enum pk_bzimage_fault {
	PK_BZIMAGE_OK,
	PK_BZIMAGE_TRUNCATED,		/* shorter than its header, or than its header says */
	PK_BZIMAGE_NOT_BZIMAGE,		/* no 0xaa55, no HdrS */
	PK_BZIMAGE_TOO_OLD,		/* protocol below 2.12 */
	PK_BZIMAGE_NOT_64BIT,
	PK_BZIMAGE_NOT_RELOCATABLE,
	PK_BZIMAGE_NO_EFI_STUB,		/* no PE header, or built without CONFIG_EFI_STUB */
};

struct pk_bzimage {
	u32 protocol;		/* major << 8 | minor */
	u32 cmdline_size;
	u64 init_size;
	u64 pref_address;
	u64 kernel_alignment;
	u64 version_offset;	/* in the file, of a terminated string; 0 if none */
	bool has_five_levels;	/* its page tables may have */
};

enum pk_bzimage_fault pk_bzimage_parse(const void *file, u64 size, struct pk_bzimage *ret);

#endif
