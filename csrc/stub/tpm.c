// SPDX-License-Identifier: Apache-2.0
/* The TPM for Linux, through EFI_TCG2_PROTOCOL: what it is, commands, the event log. */
#include "devices.h"

efi_status_t pk_tpm_info(void *out, u64 capacity, u64 *ret_size)
{
	struct efi_tcg2_capability capability;
	struct pk_tpm_info reply = { 0 };
	struct efi_tcg2 *tcg2;

	if (!EFI_ERROR(pk_tcg2_locate(&tcg2, &capability)))
		reply = (struct pk_tpm_info){
			.present = 1,
			.manufacturer = capability.manufacturer_id,
			.active_banks = capability.active_pcr_banks,
			.supported_banks = capability.hash_algorithm_bitmap,
		};
	if (capacity < sizeof(reply))
		return EFI_BUFFER_TOO_SMALL;
	memcpy(out, &reply, sizeof(reply));
	*ret_size = sizeof(reply);
	return EFI_SUCCESS;
}

efi_status_t pk_tpm_command(struct pk_descriptor *descriptor, u8 *data)
{
	(void)descriptor, (void)data;
	return EFI_UNSUPPORTED;
}

efi_status_t pk_tpm_event_log(const struct pk_event_log_request *request, void *out, u64 capacity, u64 *ret_size)
{
	(void)request, (void)out, (void)capacity, (void)ret_size;
	return EFI_UNSUPPORTED;
}
