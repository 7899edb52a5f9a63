// SPDX-License-Identifier: Apache-2.0
/* Linux' command line, as the image has it and as this machine needs it. */
#include <common/spcr.h>
#include <stub/lib/acpi_tables.h>
#include <stub/lib/string.h>
#include <stub/lib/stub.h>
#include <stub/lib/test.h>
#include <stub/start/command_line.h>
#include <stub/start/levels.h>
#include <stub/start/memory.h>
#include <stub/start/sections.h>

enum {
	COMMAND_LINE_MAX = 2048,	/* Linux' own: it cuts off what is longer, and the last words are ours */
	LEVELS_WORD_MAX = 8,
};

/* What Linux has to be told behind its own command line: of two words the last one wins. */
static const char parameters[] =
	/* No PIT, HPET, 8259, IOAPIC, PCI or AML for Linux: the firmware keeps them. */
	" tsc=reliable noapic pci=noearly,nommconf lapic=notscdeadline nmi_watchdog=0 mce=off"
	/* ResetSystem leads back. So does a fault of the kernel: with a task missing it may stand still for ever. */
	" reboot=efi oops=panic panic=10"
	/* Of processors that trap split locks without announcing it Linux knows the models; the gate does not. */
	" split_lock_detect=off"
	/* Real-time kernels switch runtime services off, which are the doors. Linux keeps the last such word. */
	" efi=runtime" PK_TEST_EFI_WORDS
	/* The gate's interrupt descriptors are none where FRED delivers events. */
	" fred=off"
	/* What a hypervisor writes into memory for a guest's sake it goes on writing when that is the payload's. */
	" nopv"
	/* Not begun: what lasts until reset, idle states of a model's own, encrypting what the firmware reads. */
	" intel_pstate=disable intel_idle.max_cstate=0 mem_encrypt=off"
	/* The rate must be told, in kHz: there is nothing to compare it with. */
	" tsc_early_khz=";

/* What stands for the rate until it is told: no number, so that Linux cannot take it for one. */
static const char rate[] = "----------";

_Static_assert(sizeof(parameters) + PK_SPCR_WORD_MAX + LEVELS_WORD_MAX + sizeof(rate) <= PK_PARAMETERS_MAX,
	       "what build leaves room for");

static char line[COMMAND_LINE_MAX];
static u16 wide[COMMAND_LINE_MAX];
static u32 length;

static void put(const void *text, u64 size)
{
	memcpy(line + length, text, size);
	length += (u32)size;
}

/* The port that the firmware has its own console on, if it says so: the first word, since the last console wins. */
static void put_firmware_console(void)
{
	char word[PK_SPCR_WORD_MAX];
	const void *table;
	u64 size;

	table = pk_acpi_find("SPCR", 0, &size);
	if (!table || !pk_spcr_console(table, size, word))
		return;
	put(word, pk_strlen(word));
	put(" ", 1);
}

efi_status_t pk_command_line_build(struct efi_loaded_image *image)
{
	const u8 *given = (const void *)pk_sections.command_line.start;
	u64 size = pk_sections.command_line.size;
	const char *levels = pk_levels_parameter();

	while (size && (!given[size - 1] || given[size - 1] == '\n' || given[size - 1] == ' '))
		size--;
	if (PK_SPCR_WORD_MAX + size + pk_strlen(levels) + sizeof(parameters) + sizeof(rate) >= COMMAND_LINE_MAX)
		return EFI_BAD_BUFFER_SIZE;

	length = 0;
	put_firmware_console();
	put(given, size);
	put(levels, pk_strlen(levels));
	put(parameters, sizeof(parameters) - 1);
	put(rate, sizeof(rate) - 1);
	for (u32 i = 0; i < length; i++)
		wide[i] = (u8)line[i];
	wide[length] = 0;
	image->load_options = wide;
	image->load_options_size = (u32)(2 * (length + 1));
	return EFI_SUCCESS;
}

efi_status_t pk_command_line_finish(void)
{
	char *copy = pk_arena_find_pool(line, length);
	u64 khz = pk_handoff.tsc_khz;
	char digits[sizeof(rate)];
	u32 nr = 0;

	if (!copy)
		return EFI_NOT_FOUND;
	do {
		digits[nr++] = (char)('0' + khz % 10);
		khz /= 10;
	} while (khz && nr < sizeof(rate) - 1);
	copy += length - (sizeof(rate) - 1);
	/* Zeros in front would make it octal. */
	memset(copy, ' ', sizeof(rate) - 1);
	while (nr)
		*copy++ = digits[--nr];
	return EFI_SUCCESS;
}
