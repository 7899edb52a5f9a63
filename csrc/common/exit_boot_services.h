/* SPDX-License-Identifier: Apache-2.0 */
/* What the filtered ExitBootServices answers, apart from what it does. */
#ifndef PK_COMMON_EXIT_BOOT_SERVICES_H
#define PK_COMMON_EXIT_BOOT_SERVICES_H

#include <efi/types.h>

struct pk_exit_request {
	bool ours;		/* the image handle is the one Linux was given */
	bool already_exited;	/* answered with success before */
	u64 map_key;		/* given by the caller */
	u64 current_key;	/* pk_arena.generation */
};

/*
 * EFI_SUCCESS: accept. EFI_INVALID_PARAMETER: stale key or foreign handle (UEFI
 * 2.10, 7.4.6). EFI_UNSUPPORTED: a second time.
 */
efi_status_t pk_exit_boot_services_decide(const struct pk_exit_request *request);

#endif
