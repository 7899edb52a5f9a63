// SPDX-License-Identifier: Apache-2.0
/* Lay the unmodified kernel out in the arena and enter it as an EFI application. */
#include <common/handoff.h>
#include <common/pe.h>
#include <stub/end/leave.h>
#include <stub/gate/gate.h>
#include <stub/gate/state.h>
#include <stub/lib/boot_device.h>
#include <stub/lib/console.h>
#include <stub/lib/io.h>
#include <stub/lib/string.h>
#include <stub/lib/stub.h>
#include <stub/start/command_line.h>
#include <stub/start/levels.h>
#include <stub/start/linux.h>
#include <stub/start/memory.h>
#include <stub/start/sections.h>
#include <stub/start/tables.h>

enum {
	KERNEL_ALIGNMENT = 2 * 1024 * 1024,
	LOADED_IMAGE_REVISION = 0x1000,
	SELECTOR_LOCAL = 4,
	TSS_DESCRIPTOR_SIZE = 16,
	TSS_MASK = 0x9d,	/* all of the type but busy */
	TSS_PRESENT = 0x89,
};

static struct efi_loaded_image image;
static efi_status_t (EFIAPI *entry)(efi_handle_t, struct efi_system_table *);

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
	status = pk_command_line_build(&image);
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
