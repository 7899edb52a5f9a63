// SPDX-License-Identifier: Apache-2.0
/*
 * Log what our image is. That it is ours the firmware has measured, all of it, into PCR 4; registers from 8 on
 * are an operating system's, and BitLocker's keys are sealed to zero in PCR 11. So by default nothing is extended
 * there, and nothing large is hashed.
 */
#include <common/pe.h>
#include <stub/lib/string.h>
#include <stub/lib/stub.h>
#include <stub/services/tcg2.h>
#include <stub/start/measure.h>

enum { PCR_KERNEL_IMAGE = 11, SECTION_NAME_MAX = 8 };

/* A TCG_PCClientTaggedEvent of PK_TPM_EVENT_TAG_SECTIONS, made by `pykexec build`; other tools make none. */
static const char description[] = ".digests";

/* systemd's order (src/fundamental/uki.h); .sbat is part of it, what a UKI lacks is passed over. */
static const char *const measured_sections[] = {
	".linux", ".osrel", ".cmdline", ".initrd", ".splash", ".dtb", ".uname", ".sbat", ".pcrpkey",
};

static bool find(const char *section, struct pk_range *ret)
{
	const u8 *base = pk_loaded_image->image_base;
	struct pk_range range;

	if (pk_pe_find_section(base, pk_loaded_image->image_size, section, &range) != PK_PE_OK)
		return false;
	*ret = (struct pk_range){ (u64)base + range.start, range.size };
	return true;
}

/*
 * EFI_VOLUME_FULL: extended all the same (TCG EFI Protocol Specification 1.00, 6.6), only nobody can
 * explain the register. That is for who attests, and a machine that nobody asks boots.
 */
static efi_status_t allow_full_log(efi_status_t status, u32 *flags)
{
	if (status != EFI_VOLUME_FULL)
		return status;
	*flags |= PK_INFO_LOG_FULL;
	return EFI_SUCCESS;
}

static efi_status_t log_description(struct efi_tcg2 *tcg2, u32 *flags)
{
	struct pk_range range;
	const void *data;

	if (!find(description, &range))
		return EFI_SUCCESS;
	data = (const void *)range.start;
	return allow_full_log(pk_tcg2_extend(tcg2, PK_TPM_EVENT_PCR_CONFIG, EFI_TCG2_EV_EVENT_TAG, data, range.size,
					     data, range.size),
			      flags);
}

/* One event, described by the section's name in UCS-2. */
static efi_status_t extend(struct efi_tcg2 *tcg2, const char *section, const void *data, u64 size, u32 *flags)
{
	u16 name[SECTION_NAME_MAX + 2];
	u64 length = pk_strlen(section) + 1;

	for (u64 i = 0; i < length; i++)
		name[i] = (u8)section[i];
	return allow_full_log(pk_tcg2_extend(tcg2, PCR_KERNEL_IMAGE, EFI_TCG2_EV_IPL, data, size, name, 2 * length),
			      flags);
}

static efi_status_t extend_sections(struct efi_tcg2 *tcg2, u32 *flags)
{
	for (u32 i = 0; i < sizeof(measured_sections) / sizeof(measured_sections[0]); i++) {
		const char *section = measured_sections[i];
		struct pk_range range;
		efi_status_t status;

		if (!find(section, &range))
			continue;
		status = extend(tcg2, section, section, pk_strlen(section) + 1, flags);
		if (EFI_ERROR(status))
			return status;
		status = extend(tcg2, section, (const void *)range.start, range.size, flags);
		if (EFI_ERROR(status))
			return status;
	}
	return EFI_SUCCESS;
}

efi_status_t pk_measure_image(bool sections, u32 *ret_flags)
{
	struct efi_tcg2_capability capability;
	struct efi_tcg2 *tcg2;
	efi_status_t status;
	u32 flags = 0;

	*ret_flags = 0;
	if (EFI_ERROR(pk_tcg2_locate(&tcg2, &capability)))
		return EFI_SUCCESS;
	status = log_description(tcg2, &flags);
	if (!EFI_ERROR(status) && sections)
		status = extend_sections(tcg2, &flags);
	if (EFI_ERROR(status))
		return status;
	*ret_flags = flags | PK_INFO_MEASURED;
	return EFI_SUCCESS;
}
