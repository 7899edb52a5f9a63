// SPDX-License-Identifier: Apache-2.0
/* The firmware's EFI_TCG2_PROTOCOL, for those who measure and for Linux. */
#include <stub/lib/string.h>
#include <stub/lib/stub.h>
#include <stub/services/tcg2.h>
efi_status_t pk_tcg2_locate(struct efi_tcg2 **ret, struct efi_tcg2_capability *ret_capability)
{
	struct efi_tcg2_capability capability = { .size = sizeof(capability) };
	struct efi_tcg2 *tcg2;
	efi_status_t status;

	status = pk_bs->locate_protocol(&efi_guid_tcg2, NULL, (void **)&tcg2);
	if (EFI_ERROR(status))
		return status;
	status = tcg2->get_capability(tcg2, &capability);
	if (EFI_ERROR(status))
		return status;
	if (!capability.tpm_present_flag)
		return EFI_NOT_FOUND;
	*ret = tcg2;
	*ret_capability = capability;
	return EFI_SUCCESS;
}

efi_status_t pk_tcg2_extend(struct efi_tcg2 *tcg2, u32 pcr, u32 type, const void *data, u64 size, const void *text,
			    u64 text_size)
{
	static u8 buffer[sizeof(struct efi_tcg2_event) + PK_TPM_EVENT_MAX] __attribute__((aligned(8)));
	struct efi_tcg2_event *event = (void *)buffer;

	if (text_size > PK_TPM_EVENT_MAX)
		return EFI_INVALID_PARAMETER;
	event->size = (u32)(offsetof(struct efi_tcg2_event, event) + text_size);
	event->header_size = EFI_TCG2_EVENT_HEADER_SIZE;
	event->header_version = EFI_TCG2_EVENT_HEADER_VERSION;
	memcpy(event->pcr_index, &pcr, 4);
	memcpy(event->event_type, &type, 4);
	memcpy(event->event, text, text_size);
	return tcg2->hash_log_extend_event(tcg2, 0, (u64)data, size, event);
}
