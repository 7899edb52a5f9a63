// SPDX-License-Identifier: Apache-2.0
/*
 * The stub's TPM against a simulated TCG2 protocol: a command comes in by standard input, the status
 * with which the firmware answers it by argument; out goes what Linux is told, and with what response.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <common/tpm_filter.h>
#include <efi/protocols.h>
#include <pykexec/devices.h>
#include <stub/lib/stub.h>
#include <stub/services/tpm.h>

struct efi_system_table *pk_st;
struct efi_boot_services *pk_bs;

static efi_status_t outcome;

static efi_status_t EFIAPI get_capability(struct efi_tcg2 *tcg2, struct efi_tcg2_capability *ret)
{
	(void)tcg2;
	ret->tpm_present_flag = 1;
	ret->max_command_size = ret->max_response_size = 4096;
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI submit(struct efi_tcg2 *tcg2, u32 size, u8 *command, u32 room, u8 *response)
{
	static const u8 done[] = { 0x80, 1, 0, 0, 0, 10, 0, 0, 0, 0 };

	(void)tcg2;
	(void)size;
	(void)command;
	(void)room;
	if (outcome == EFI_SUCCESS)
		memcpy(response, done, sizeof(done));
	return outcome;
}

static struct efi_tcg2 protocol = { .get_capability = get_capability, .submit_command = (void *)submit };

static efi_status_t EFIAPI locate(const efi_guid_t *guid, void *registration, void **ret)
{
	(void)guid;
	(void)registration;
	*ret = &protocol;
	return EFI_SUCCESS;
}

int main(int argc, char **argv)
{
	static u8 data[PK_TPM_BUFFER_SIZE];
	struct efi_boot_services services = { .locate_protocol = (void *)locate };
	struct pk_descriptor descriptor = { .op = PK_OP_TPM_COMMAND, .capacity = sizeof(data) };
	struct pk_call call = {
		.body = &descriptor,
		.size = sizeof(descriptor),
		.answer = data,
		.capacity = sizeof(data),
	};
	efi_status_t status;

	if (argc != 2)
		return 2;
	pk_bs = &services;
	outcome = strtoull(argv[1], NULL, 0);
	descriptor.size = fread(data, 1, sizeof(data), stdin);
	status = pk_tpm_command(&call);
	printf("0x%llx", (unsigned long long)status);
	for (u64 i = 0; i < call.answered; i++)
		printf("%s%02x", i ? "" : " ", data[i]);
	return 0;
}
