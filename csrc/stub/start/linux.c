// SPDX-License-Identifier: Apache-2.0
/* Lay the unmodified kernel out in the arena and enter it as an EFI application. */
#include <common/handoff.h>
#include <common/pe.h>
#include <common/spcr.h>
#include <stub/end/leave.h>
#include <stub/gate/gate.h>
#include <stub/gate/state.h>
#include <stub/lib/acpi_tables.h>
#include <stub/lib/boot_device.h>
#include <stub/lib/console.h>
#include <stub/lib/io.h>
#include <stub/lib/string.h>
#include <stub/lib/stub.h>
#include <stub/lib/test.h>
#include <stub/start/levels.h>
#include <stub/start/linux.h>
#include <stub/start/memory.h>
#include <stub/start/sections.h>
#include <stub/start/tables.h>

enum {
	COMMAND_LINE_MAX = 2048,	/* Linux' own: it cuts off what is longer, and the last words are ours */
	DIGITS_MAX = 20,
	LEVELS_WORD_MAX = 8,
	KERNEL_ALIGNMENT = 2 * 1024 * 1024,
	LOADED_IMAGE_REVISION = 0x1000,
	SELECTOR_LOCAL = 4,
	TSS_DESCRIPTOR_SIZE = 16,
	TSS_MASK = 0x9d,	/* all of the type but busy */
	TSS_PRESENT = 0x89,
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
	/* The rate must be told: there is nothing to compare it with. */
	" tsc_early_khz=";

_Static_assert(sizeof(parameters) + PK_SPCR_WORD_MAX + LEVELS_WORD_MAX + DIGITS_MAX <= PK_PARAMETERS_MAX,
	       "what build leaves room for");

static u16 command_line[COMMAND_LINE_MAX];
static struct efi_loaded_image image;
static efi_status_t (EFIAPI *entry)(efi_handle_t, struct efi_system_table *);

/* The port that the firmware has its own console on, if it says so: the first word, since the last console wins. */
static u64 put_firmware_console(u16 *line)
{
	char word[PK_SPCR_WORD_MAX];
	const void *table;
	u64 size, n = 0;

	table = pk_acpi_find("SPCR", 0, &size);
	if (!table || !pk_spcr_console(table, size, word))
		return 0;
	for (; word[n]; n++)
		line[n] = (u8)word[n];
	line[n++] = ' ';
	return n;
}

static efi_status_t build_command_line(void)
{
	const u8 *given = (const void *)pk_sections.command_line.start;
	u64 size = pk_sections.command_line.size;
	u64 khz = pk_handoff.tsc_khz;
	const char *levels = pk_levels_parameter();
	char digits[DIGITS_MAX];
	u32 nr_digits = 0;
	u64 n;

	while (size && (!given[size - 1] || given[size - 1] == '\n' || given[size - 1] == ' '))
		size--;
	do {
		digits[nr_digits++] = (char)('0' + khz % 10);
		khz /= 10;
	} while (khz);
	if (PK_SPCR_WORD_MAX + size + pk_strlen(levels) + sizeof(parameters) + nr_digits >= COMMAND_LINE_MAX)
		return EFI_BAD_BUFFER_SIZE;

	n = put_firmware_console(command_line);
	for (u64 i = 0; i < size; i++)
		command_line[n++] = given[i];
	for (u64 i = 0; levels[i]; i++)
		command_line[n++] = (u8)levels[i];
	for (u64 i = 0; parameters[i]; i++)
		command_line[n++] = (u8)parameters[i];
	while (nr_digits)
		command_line[n++] = (u8)digits[--nr_digits];
	command_line[n] = 0;
	image.load_options = command_line;
	image.load_options_size = (u32)(2 * (n + 1));
	return EFI_SUCCESS;
}

efi_status_t pk_linux_prepare(void)
{
	const void *kernel = (const void *)pk_sections.kernel.start;
	enum pk_pe_fault fault;
	efi_status_t status;
	struct pk_pe pe;
	u64 base;

	fault = pk_pe_parse(kernel, pk_sections.kernel.size, &pe);
	if (fault != PK_PE_OK) {
		pk_print("pykexec: .linux is not an EFI application (fault %d)\n", (u64)fault);
		return EFI_LOAD_ERROR;
	}
	status = pk_levels_check();
	if (EFI_ERROR(status))
		return status;
	status = pk_arena_reset();
	if (EFI_ERROR(status))
		return status;
	status = pk_arena_pages(EFI_LOADER_CODE, (pe.size_of_image + KERNEL_ALIGNMENT) / PK_PAGE_SIZE + 1, &base);
	if (EFI_ERROR(status)) {
		pk_print("pykexec: the kernel's %d KiB do not fit in the arena\n", pe.size_of_image / 1024);
		return status;
	}
	base = (base + KERNEL_ALIGNMENT - 1) & ~(u64)(KERNEL_ALIGNMENT - 1);
	pk_pe_layout(kernel, &pe, (void *)base);

	image = (struct efi_loaded_image){
		.revision = LOADED_IMAGE_REVISION,
		.parent_handle = pk_image,
		.device_handle = pk_boot_device(),
		.image_base = (void *)base,
		.image_size = pe.size_of_image,
		.image_code_type = EFI_LOADER_CODE,
		.image_data_type = EFI_LOADER_DATA,
	};
	status = build_command_line();
	if (EFI_ERROR(status)) {
		pk_print("pykexec: .cmdline is too long\n");
		return status;
	}
	entry = (void *)(base + pe.entry);
	image.system_table = pk_private_tables(&image);
	return EFI_SUCCESS;
}

/* Does TR name a task state segment of the firmware's own (SDM 3, 7.2.3)? */
static bool has_task(const struct pk_cpu_context *cpu)
{
	u32 offset = cpu->tr & ~7u;
	const u8 *gdt;
	u16 limit;

	memcpy(&limit, cpu->gdtr, sizeof(limit));
	memcpy(&gdt, cpu->gdtr + 2, sizeof(gdt));
	if (!offset || cpu->tr & SELECTOR_LOCAL || offset + TSS_DESCRIPTOR_SIZE - 1 > limit)
		return false;
	return (gdt[offset + 5] & TSS_MASK) == TSS_PRESENT;
}

void pk_linux_run(void)
{
	static u16 firmware_tr;
	efi_status_t status;

	if (pk_context_save(&pk_handoff.cpu))
		return;
	/*
	 * Nothing loads a null TR: where the firmware had none, Linux' stays, that of an
	 * earlier boot entry's image too, and must not be taken for its own.
	 */
	if (!pk_handoff.outcome.nr_runs)
		firmware_tr = has_task(&pk_handoff.cpu) ? pk_handoff.cpu.tr : 0;
	pk_handoff.cpu.tr = firmware_tr;
	/* The context is sealed as it is now, this return address included. */
	pk_handoff_seal(&pk_handoff);
	pk_handoff.tsc_linux = pk_rdtsc();
	pk_stage(PK_STAGE_LINUX, EFI_SUCCESS);

	status = entry(pk_linux_handle(), image.system_table);

	/* Only Linux' EFI stub comes this way, before ExitBootServices. */
	pk_stage(PK_STAGE_LINUX, EFI_ERROR(status) ? status : EFI_ABORTED);
	pk_leave_give_up();
	pk_state_quiesce();
}
