// SPDX-License-Identifier: Apache-2.0
/* What the running kernel was told by its EFI stub. */
#include <asm/bootparam.h>

#include <native/boot_params.h>

enum { DISABLED = 2 };	/* enum efi_secureboot_mode (include/linux/efi.h), which is no UAPI */

bool pk_secure_boot_is_off(const void *boot_params, u64 size)
{
	const struct boot_params *params = boot_params;

	return size >= sizeof(*params) && params->secure_boot == DISABLED;
}
