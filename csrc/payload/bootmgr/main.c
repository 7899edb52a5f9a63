// SPDX-License-Identifier: Apache-2.0
/*
 * The order of the steps. "PK:wbm:<step>:<status>" ends each on the serial port, and a line on the
 * screen while the firmware has one; the first that fails ends the application with its status.
 */
#include <payload/bootmgr/bootmgr.h>

struct wbm wbm;

struct step {
	u32 number;
	efi_status_t (*run)(void);
	u16 *done;	/* for people; NULL where there is no screen of ours */
};

/* In the firmware's context, before there is another. */
static const struct step before[] = {
	{ 0, wbm_entry, NULL },
	{ 1, wbm_parameters, NULL },
	{ 2, wbm_memory, NULL },
};

static const struct step inside[] = {
	{ 3, wbm_context, NULL },
	{ 4, wbm_console, u"A stand-in for Windows' boot manager.\r\n\r\n" },
	{ 5, wbm_disks, u"  disks and partitions are read\r\n" },
	{ 6, wbm_files, u"  the boot configuration names a loader, which is there\r\n" },
	{ 7, wbm_tpm, u"  the TPM's registers are as Windows wants them\r\n" },
	{ 8, wbm_key, u"  the startup key is found, and opens the BitLocker volume\r\n" },
	{ 13, wbm_hibernation, u"  memory lies where hibernation would look for it\r\n" },
};

/* The installer's files are on the disk that it was started from, and it has no volume to unlock. */
static const struct step of_installer[] = {
	{ 3, wbm_context, NULL },
	{ 4, wbm_console, NULL },
	{ 5, wbm_disks, NULL },
	{ 6, wbm_installer, NULL },
	{ 7, wbm_tpm, NULL },
	{ 13, wbm_hibernation, NULL },
};

/* Boot services end here. */
static const struct step after[] = {
	{ 10, wbm_exit, NULL },
	{ 11, wbm_virtual, NULL },
	{ 12, wbm_off, NULL },
};

#define NR_STEPS(steps) (sizeof(steps) / sizeof((steps)[0]))

static efi_status_t run(const struct step *steps, u32 nr_steps)
{
	efi_status_t status = EFI_SUCCESS;

	for (u32 i = 0; i < nr_steps && !EFI_ERROR(status); i++) {
		wbm_begin(steps[i].number);
		status = wbm_end(steps[i].run());
		if (steps[i].done && !EFI_ERROR(status))
			wbm_call(wbm.st->con_out->output_string, wbm.st->con_out, steps[i].done);
	}
	return status;
}

/* For who takes a picture. */
static void show(void)
{
	u64 duration_ms;

	if (wbm_option_number("show_ms", &duration_ms))
		wbm_call(wbm.bs->stall, 1000 * duration_ms);
}

static efi_status_t run_inside(void)
{
	efi_status_t status;

	if (wbm_option_is("installer", "1"))
		status = run(of_installer, NR_STEPS(of_installer));
	else
		status = run(inside, NR_STEPS(inside));
	if (EFI_ERROR(status))
		return status;
	show();
	return run(after, NR_STEPS(after));
}

EFIAPI efi_status_t efi_main(efi_handle_t image_handle, struct efi_system_table *system_table)
{
	efi_status_t status;

	wbm.image_handle = image_handle;
	wbm.st = system_table;
	wbm.bs = system_table->boot;
	wbm.rt = system_table->runtime;
	status = run(before, NR_STEPS(before));
	if (EFI_ERROR(status))
		return status;
	return wbm_run_application(run_inside);
}
