// SPDX-License-Identifier: Apache-2.0
/* The storage behind <efi/guids.h>. */
#include <efi/guids.h>

#define EFI_GUID_DEFINE(name, a, b, c, ...) \
	const efi_guid_t efi_guid_##name = { a, b, c, { __VA_ARGS__ } };
EFI_GUIDS(EFI_GUID_DEFINE)
