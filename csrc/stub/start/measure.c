// SPDX-License-Identifier: Apache-2.0
/* Measure our sections into PCR 11, as systemd-stub does, so that its tools predict the value. */
#include <common/pe.h>
#include <stub/lib/string.h>
#include <stub/lib/stub.h>
#include <stub/services/tcg2.h>
#include <stub/start/measure.h>

enum { PCR_KERNEL_IMAGE = 11, SECTION_NAME_MAX = 8 };

/* systemd's order (src/fundamental/uki.h); .sbat is part of it, what a UKI lacks is passed over. */
static const char *const measured_sections[] = {
	".linux", ".osrel", ".cmdline", ".initrd", ".splash", ".dtb", ".uname", ".sbat", ".pcrpkey",
};

/* One event, described by the section's name in UCS-2. */
static efi_status_t extend(struct efi_tcg2 *tcg2, const char *section, const void *data, u64 size)
{
	u16 name[SECTION_NAME_MAX + 2];
	u64 length = pk_strlen(section) + 1;

	for (u64 i = 0; i < length; i++)
		name[i] = (u8)section[i];
	return pk_tcg2_extend(tcg2, PCR_KERNEL_IMAGE, data, size, name, 2 * length);
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

efi_status_t pk_measure_sections(u32 *ret_flags)
{
	struct efi_tcg2_capability capability;
	struct efi_tcg2 *tcg2;
	efi_status_t status;
	u32 flags = 0;

	*ret_flags = 0;
	if (EFI_ERROR(pk_tcg2_locate(&tcg2, &capability)))
		return EFI_SUCCESS;
	for (u32 i = 0; i < sizeof(measured_sections) / sizeof(measured_sections[0]); i++) {
		const char *section = measured_sections[i];
		const u8 *base = pk_loaded_image->image_base;
		struct pk_range range;

		if (pk_pe_find_section(base, pk_loaded_image->image_size, section, &range) != PK_PE_OK)
			continue;
		status = allow_full_log(extend(tcg2, section, section, pk_strlen(section) + 1), &flags);
		if (EFI_ERROR(status))
			return status;
		status = allow_full_log(extend(tcg2, section, base + range.start, range.size), &flags);
		if (EFI_ERROR(status))
			return status;
	}
	*ret_flags = flags | PK_INFO_MEASURED;
	return EFI_SUCCESS;
}
