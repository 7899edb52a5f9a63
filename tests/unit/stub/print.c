// SPDX-License-Identifier: Apache-2.0
/* Words on a firmware's console that is a program: each call of it is a line, its text between bars. */
#include <stdio.h>
#include <string.h>

#include <stub/lib/console.h>
#include <stub/lib/stub.h>

struct pk_handoff pk_handoff;
u64 pk_rdtsc(void) { return 0; }

static EFIAPI efi_status_t output_string(struct efi_simple_text_output *this, u16 *text)
{
	(void)this;
	printf("|");
	for (; *text; text++)
		printf(*text == '\r' ? "\\r" : *text == '\n' ? "\\n" : "%c", *text);
	printf("|\n");
	return EFI_SUCCESS;
}

static struct efi_simple_text_output out = { .output_string = output_string };
static struct efi_system_table table = { .con_out = &out };
struct efi_system_table *pk_st = &table;

int main(void)
{
	static char letters[201], breaks[101];

	memset(letters, 'x', sizeof(letters) - 1);
	memset(breaks, '\n', sizeof(breaks) - 1);
	pk_print("pykexec: [%x, %x) of %d, %s %S\n", (u64)0x1000, (u64)0xffffffffffffffff, (u64)0, "a", u"b");
	pk_stage(PK_STAGE_START, EFI_SUCCESS);
	pk_stage(PK_STAGE_ARENA, EFI_OUT_OF_RESOURCES);
	pk_print("%s", "");
	pk_print("%s\n", letters);
	pk_print("%s", breaks);
	table.con_out = NULL;
	pk_print("nobody\n");
	return 0;
}
