/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration table by which a Linux with kernel-patches/ finds us: the
 * contract of Documentation/arch/x86/efi-bootsvc.rst there. What its requests
 * carry are the mailbox's own operations and structs (abi.h), and a request is
 * a struct pk_descriptor whose offset is a physical address.
 */
#ifndef PYKEXEC_BOOTSVC_H
#define PYKEXEC_BOOTSVC_H

#include <pykexec/abi.h>

enum pk_bootsvc_constants {
	PK_BOOTSVC_SIGNATURE	= 0x435653544f4f42,	/* "BOOTSVC" */
	PK_BOOTSVC_REVISION	= 1,
	PK_BOOTSVC_MAX_REQUESTS	= 64,
};

/* Does not cross a page. */
struct pk_bootsvc_table {
	u64 signature;
	u32 revision;
	u32 size;
	u32 checksum;		/* CRC-32 of size bytes with this field 0 */
	u32 max_requests;	/* in one call */
	struct pk_range resident;	/* what a call and a resume need mapped, 1:1 and for execution */
	u64 call;		/* efi_status_t EFIAPI call(u64 requests, u64 nr_requests) */
	u64 resume;		/* rdi = resume_context, rsi = boot_params; identity mapped, IF=0 */
	u64 resume_context;
};
PK_ABI_ASSERT(pk_bootsvc_table, 64)

#endif
