// SPDX-License-Identifier: Apache-2.0
/* The stub's own sections: kernel, initrd, command line (systemd's UKI section names). */
#include <common/pe.h>
#include <stub/lib/console.h>
#include <stub/lib/stub.h>
#include <stub/start/sections.h>

struct pk_sections pk_sections;

static bool find(const char *section, struct pk_range *ret)
{
	struct pk_range range;

	if (pk_pe_find_section(pk_loaded_image->image_base, pk_loaded_image->image_size, section, &range) !=
	    PK_PE_OK)
		return false;
	*ret = (struct pk_range){ (u64)pk_loaded_image->image_base + range.start, range.size };
	return true;
}

efi_status_t pk_sections_find(void)
{
	if (!find(".linux", &pk_sections.kernel)) {
		pk_print("pykexec: this image has no .linux section; `pykexec build` makes a whole one\n");
		return EFI_NOT_FOUND;
	}
	/* Linux would panic without one, and nobody could be told why. */
	if (!find(".initrd", &pk_sections.initrd)) {
		pk_print("pykexec: this image has no .initrd section; `pykexec build` makes a whole one\n");
		return EFI_NOT_FOUND;
	}
	find(".cmdline", &pk_sections.command_line);
	return EFI_SUCCESS;
}
