// SPDX-License-Identifier: Apache-2.0
/*
 * The stub's measuring against a simulated TCG2 protocol: an image as it lies in memory comes in, what
 * it measured goes out: register, type, size, and whether the log has the very data. Arguments: from
 * which event on the firmware answers with which status, and whether the sections are to be measured.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stub/lib/stub.h>
#include <stub/services/tcg2.h>
#include <stub/start/measure.h>

struct efi_system_table *pk_st;
struct efi_boot_services *pk_bs;
struct efi_loaded_image *pk_loaded_image;

static u64 nr_events, first_failing;
static efi_status_t failure;

u64 pk_strlen(const char *text)
{
	u64 length = 0;

	while (text[length])
		length++;
	return length;
}

static efi_status_t EFIAPI get_capability(struct efi_tcg2 *tcg2, struct efi_tcg2_capability *ret)
{
	(void)tcg2;
	ret->tpm_present_flag = 1;
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI extend(struct efi_tcg2 *tcg2, u64 flags, u64 data, u64 size, struct efi_tcg2_event *event)
{
	u64 logged = event->size - offsetof(struct efi_tcg2_event, event);
	u32 pcr, type;

	(void)tcg2;
	(void)flags;
	memcpy(&pcr, event->pcr_index, sizeof(pcr));
	memcpy(&type, event->event_type, sizeof(type));
	printf("%u:%u:%llu%s ", pcr, type, (unsigned long long)size,
	       logged == size && !memcmp((const void *)data, event->event, size) ? "=" : "");
	return nr_events++ >= first_failing ? failure : EFI_SUCCESS;
}

static struct efi_tcg2 protocol = { .get_capability = get_capability, .hash_log_extend_event = extend };

static efi_status_t EFIAPI locate(const efi_guid_t *guid, void *registration, void **ret)
{
	(void)guid;
	(void)registration;
	*ret = &protocol;
	return EFI_SUCCESS;
}

int main(int argc, char **argv)
{
	static u8 image[1 << 20];
	struct efi_loaded_image loaded = { .image_base = image };
	struct efi_boot_services services = { 0 };
	efi_status_t status;
	u32 flags = 77;

	if (argc != 4)
		return 2;
	first_failing = strtoull(argv[1], NULL, 0);
	failure = strtoull(argv[2], NULL, 0);
	loaded.image_size = fread(image, 1, sizeof(image), stdin);
	services.locate_protocol = (void *)locate;
	pk_bs = &services;
	pk_loaded_image = &loaded;
	status = pk_measure_image(argv[3][0] == '1', &flags);
	printf("status 0x%llx flags %u\n", (unsigned long long)status, flags);
	return 0;
}
