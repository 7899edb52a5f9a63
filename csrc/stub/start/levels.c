// SPDX-License-Identifier: Apache-2.0
/*
 * How many levels the page tables have: CR4.LA57 can only be changed outside of
 * long mode (Intel SDM 3A, 4.1.1), so the gate, which loads CR3, needs as many in
 * Linux as the firmware has. Linux has five wherever the processor does, unless told.
 */
#include <common/bzimage.h>
#include <stub/lib/console.h>
#include <stub/lib/cpu.h>
#include <stub/lib/string.h>
#include <stub/start/levels.h>
#include <stub/start/sections.h>

static bool firmware_has_five(void)
{
	return pk_cpu_read(PK_CPU_CR4) & PK_CR4_LA57;
}

efi_status_t pk_levels_check(void)
{
	const struct pk_range *line = &pk_sections.command_line;
	struct pk_bzimage kernel;

	if (!firmware_has_five())
		return EFI_SUCCESS;
	if (pk_bzimage_parse((const void *)pk_sections.kernel.start, pk_sections.kernel.size, &kernel) ==
		    PK_BZIMAGE_OK &&
	    !kernel.has_five_levels) {
		pk_print("pykexec: this firmware's page tables have five levels, which the kernel cannot have"
			 " (CONFIG_X86_5LEVEL)\n");
		return EFI_UNSUPPORTED;
	}
	if (pk_has_word((const void *)line->start, line->size, "no5lvl")) {
		pk_print("pykexec: this firmware's page tables have five levels, and .cmdline says no5lvl\n");
		return EFI_UNSUPPORTED;
	}
	return EFI_SUCCESS;
}

const char *pk_levels_parameter(void)
{
	return firmware_has_five() ? "" : " no5lvl";
}
