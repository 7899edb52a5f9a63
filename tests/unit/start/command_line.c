// SPDX-License-Identifier: Apache-2.0
/*
 * Linux' command line on a machine that is a program. Arguments: .cmdline, the TSC's rate in kHz, what
 * Linux' EFI stub has ("copy", "none"). Prints what it measures, what its copy says in the end, and
 * the statuses.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <common/spcr.h>
#include <stub/lib/acpi_tables.h>
#include <stub/lib/stub.h>
#include <stub/start/command_line.h>
#include <stub/start/levels.h>
#include <stub/start/memory.h>
#include <stub/start/sections.h>

struct pk_sections pk_sections;
struct pk_handoff pk_handoff;

static char *copy;

void *pk_arena_find_pool(const void *start, u64 size)
{
	return copy && !memcmp(copy, start, size) ? copy : NULL;
}

const void *pk_acpi_find(const char *signature, u32 n, u64 *ret_size)
{
	(void)signature;
	(void)n;
	*ret_size = 1;
	return "";
}

bool pk_spcr_console(const void *table, u64 size, char word[PK_SPCR_WORD_MAX])
{
	(void)table;
	(void)size;
	strcpy(word, "console=ttyS1,115200");
	return true;
}

const char *pk_levels_parameter(void) { return " no5lvl"; }

u64 pk_strlen(const char *text) { return strlen(text); }

int main(int argc, char **argv)
{
	struct efi_loaded_image image = { 0 };
	const u16 *options;
	efi_status_t built, finished;
	u64 nr;

	if (argc != 4)
		return 2;
	pk_sections.command_line = (struct pk_range){ (u64)argv[1], strlen(argv[1]) };
	pk_handoff.tsc_khz = strtoull(argv[2], NULL, 0);
	built = pk_command_line_build(&image);
	if (EFI_ERROR(built)) {
		printf("%llx\n", (unsigned long long)(built & 0xff));
		return 0;
	}
	options = image.load_options;
	nr = image.load_options_size / 2;
	if (!strcmp(argv[3], "copy"))
		copy = malloc(nr);
	for (u64 i = 0; i < nr; i++) {
		if (options[i])
			putchar(options[i]);
		if (copy)
			copy[i] = (char)options[i];
	}
	finished = pk_command_line_finish();
	printf("\n%s\n%llx\n", copy ? copy : "", (unsigned long long)(finished & 0xff));
	free(copy);
	return 0;
}
