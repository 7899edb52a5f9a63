// SPDX-License-Identifier: Apache-2.0
/* Why it ended, for the next start. */
#include <stub/end/last_end.h>
#include <stub/lib/console.h>
#include <stub/lib/string.h>
#include <stub/lib/stub.h>

enum { ATTRIBUTES = EFI_VARIABLE_NON_VOLATILE | EFI_VARIABLE_BOOTSERVICE_ACCESS | EFI_VARIABLE_RUNTIME_ACCESS };

static u16 name[] = u"" PK_LAST_END_NAME;
static struct pk_last_end last_end;

void pk_last_end_init(void)
{
	last_end = (struct pk_last_end){ 0 };
}

void pk_last_end_reason(const void *text, u64 size)
{
	memset(last_end.reason, 0, sizeof(last_end.reason));
	memcpy(last_end.reason, text, size < sizeof(last_end.reason) ? size : sizeof(last_end.reason));
}

static bool is_kept(void)
{
	static struct pk_last_end kept;
	efi_guid_t vendor = efi_guid_pykexec_handoff;
	u64 size = sizeof(kept);
	efi_status_t status;

	status = pk_st->runtime->get_variable(name, &vendor, NULL, &size, &kept);
	return !EFI_ERROR(status) && size == sizeof(kept) && !memcmp(&kept, &last_end, sizeof(kept));
}

void pk_last_end_keep(enum pk_stage stage, efi_status_t status, enum pk_action action)
{
	efi_guid_t vendor = efi_guid_pykexec_handoff;

	if (!last_end.reason[0] && !EFI_ERROR(status))
		return;
	last_end.version = PK_LAST_END_VERSION;
	last_end.stage = stage;
	last_end.status = status;
	last_end.action = action;
	if (is_kept())
		return;
	status = pk_st->runtime->set_variable(name, &vendor, ATTRIBUTES, sizeof(last_end), &last_end);
	if (EFI_ERROR(status))
		pk_print("pykexec: why it ended cannot be kept (%x)\n", status);
}
