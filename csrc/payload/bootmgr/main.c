// SPDX-License-Identifier: Apache-2.0
/*
 * The order of the steps. "PK:wbm:<step>:<status>" ends each on the serial port; the first that
 * fails ends the application with its status.
 */
#include <payload/bootmgr/bootmgr.h>

struct wbm wbm;

struct step {
	u32 number;
	efi_status_t (*run)(void);
};

/* In the firmware's context, before there is another. */
static const struct step before[] = {
	{ 0, wbm_entry },
	{ 1, wbm_parameters },
	{ 2, wbm_memory },
};

static const struct step inside[] = {
	{ 3, wbm_context },
	{ 4, wbm_console },
	{ 5, wbm_disks },
	{ 6, wbm_files },
	{ 7, wbm_tpm },
	{ 8, wbm_key },
	{ 13, wbm_hibernation },
	{ 10, wbm_exit },
	{ 11, wbm_virtual },
	{ 12, wbm_off },
};

/* The installer's files are on the disk that it was started from, and it has no volume to unlock. */
static const struct step of_installer[] = {
	{ 3, wbm_context },
	{ 4, wbm_console },
	{ 5, wbm_disks },
	{ 6, wbm_installer },
	{ 7, wbm_tpm },
	{ 13, wbm_hibernation },
	{ 10, wbm_exit },
	{ 11, wbm_virtual },
	{ 12, wbm_off },
};

static efi_status_t run(const struct step *steps, u32 nr_steps)
{
	efi_status_t status = EFI_SUCCESS;

	for (u32 i = 0; i < nr_steps && !EFI_ERROR(status); i++) {
		wbm_begin(steps[i].number);
		status = wbm_end(steps[i].run());
	}
	return status;
}

static efi_status_t run_inside(void)
{
	if (wbm_option_is("installer", "1"))
		return run(of_installer, sizeof(of_installer) / sizeof(of_installer[0]));
	return run(inside, sizeof(inside) / sizeof(inside[0]));
}

EFIAPI efi_status_t efi_main(efi_handle_t image_handle, struct efi_system_table *system_table)
{
	efi_status_t status;

	wbm.image_handle = image_handle;
	wbm.st = system_table;
	wbm.bs = system_table->boot;
	wbm.rt = system_table->runtime;
	status = run(before, sizeof(before) / sizeof(before[0]));
	if (EFI_ERROR(status))
		return status;
	return wbm_run_application(run_inside);
}
