// SPDX-License-Identifier: Apache-2.0
/* The decision of the filtered ExitBootServices. */
#include <common/exit_boot_services.h>

efi_status_t pk_exit_boot_services_decide(const struct pk_exit_request *request)
{
	if (request->already_exited)
		return EFI_UNSUPPORTED;
	if (!request->ours || request->map_key != request->current_key)
		return EFI_INVALID_PARAMETER;
	return EFI_SUCCESS;
}
