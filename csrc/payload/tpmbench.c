// SPDX-License-Identifier: Apache-2.0
/* How long EFI_TCG2's SubmitCommand takes: "BENCH:tpm:<PCR read>:<commands>:<TSC ticks>". */
#include <efi/guids.h>
#include <efi/protocols.h>
#include <payload/bench.h>
#include <payload/console.h>

static u8 answer[BENCH_TPM_ANSWER_MAX];

static efi_status_t measure(struct efi_tcg2 *tcg2, bool pcr_read, const u8 *command, u32 size)
{
	efi_status_t status = EFI_SUCCESS;
	u64 start = bench_tsc();

	for (u32 i = 0; i < BENCH_TPM_COMMANDS && !EFI_ERROR(status); i++) {
		/* A command is input alone, which not every header says. */
		status = tcg2->submit_command(tcg2, size, (u8 *)command, sizeof(answer), answer);
		if (!EFI_ERROR(status) && !bench_tpm_succeeded(answer))
			status = EFI_DEVICE_ERROR;
	}
	if (!EFI_ERROR(status))
		pk_put_line(u"BENCH:tpm:", pcr_read, BENCH_TPM_COMMANDS, bench_tsc() - start);
	return status;
}

EFIAPI efi_status_t efi_main(efi_handle_t image_handle, struct efi_system_table *system_table)
{
	struct efi_tcg2 *tcg2;
	efi_status_t status;

	(void)image_handle;
	pk_console_init(system_table);
	status = system_table->boot->locate_protocol(&efi_guid_tcg2, NULL, (void **)&tcg2);
	if (!EFI_ERROR(status))
		status = measure(tcg2, false, bench_tpm_random, sizeof(bench_tpm_random));
	if (!EFI_ERROR(status))
		status = measure(tcg2, true, bench_tpm_pcr_read, sizeof(bench_tpm_pcr_read));
	pk_put_line(u"BENCH:end:", status);
	return status;
}
