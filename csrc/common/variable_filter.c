// SPDX-License-Identifier: Apache-2.0
/* What a running OS may do with variables while the firmware still believes in boot time. */
#include <common/variable_filter.h>

enum {
	PK_VARIABLE_ACCESS = EFI_VARIABLE_BOOTSERVICE_ACCESS | EFI_VARIABLE_RUNTIME_ACCESS,
	PK_VARIABLE_OS = EFI_VARIABLE_NON_VOLATILE | EFI_VARIABLE_RUNTIME_ACCESS,
};

bool pk_variable_visible(u32 attributes)
{
	return attributes & EFI_VARIABLE_RUNTIME_ACCESS;
}

/* UEFI 2.10, 8.2.3: no data (unless it is appended), or no access attribute. */
static bool deletes(u32 attributes, u64 size)
{
	if (!(attributes & PK_VARIABLE_ACCESS))
		return true;
	return !size && !(attributes & EFI_VARIABLE_APPEND_WRITE);
}

efi_status_t pk_variable_may_set(bool exists, u32 old_attributes, u32 new_attributes, u64 size)
{
	bool deletion = deletes(new_attributes, size);

	if (!exists || !pk_variable_visible(old_attributes)) {
		/* Hidden and absent must look alike. */
		if (deletion)
			return EFI_NOT_FOUND;
		if (exists)
			return EFI_INVALID_PARAMETER;
	} else if (!(old_attributes & EFI_VARIABLE_NON_VOLATILE)) {
		return EFI_WRITE_PROTECTED;
	}
	if (!deletion && (new_attributes & PK_VARIABLE_OS) != PK_VARIABLE_OS)
		return EFI_INVALID_PARAMETER;
	return EFI_SUCCESS;
}
