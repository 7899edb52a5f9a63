/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of SetVariable and friends after ExitBootServices (UEFI 2.10, 8.2).
 * The firmware still believes in boot time; without this filter root could read
 * and change boot-services-only variables, shim's MokList among them.
 */
#ifndef PK_COMMON_VARIABLE_FILTER_H
#define PK_COMMON_VARIABLE_FILTER_H

#include <efi/types.h>

/* May a running OS see a variable that has these attributes? */
bool pk_variable_visible(u32 attributes);

/*
 * May a running OS set it? exists and old_attributes tell what is stored now;
 * new_attributes and size are the call's. EFI_SUCCESS: pass it to the firmware.
 * EFI_INVALID_PARAMETER: creation without RUNTIME_ACCESS or NON_VOLATILE.
 * EFI_WRITE_PROTECTED: exists but is volatile. EFI_NOT_FOUND: a hidden or absent
 * one is to be deleted; EFI_INVALID_PARAMETER: a hidden one is to be written.
 */
efi_status_t pk_variable_may_set(bool exists, u32 old_attributes, u32 new_attributes, u64 size);

#endif
