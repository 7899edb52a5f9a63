// SPDX-License-Identifier: Apache-2.0
/*
 * How a machine was reset when the firmware could not be gone on with. It is written to flash once,
 * when it happens, where only boot services see it, and is there to be read at the next start.
 */
#include <stub/end/accident.h>
#include <stub/gate/faults.h>
#include <stub/gate/idt.h>
#include <stub/lib/console.h>
#include <stub/lib/io.h>
#include <stub/lib/stub.h>

enum {
	ATTRIBUTES = 3,			/* NON_VOLATILE | BOOTSERVICE_ACCESS */
	MSR_MCG_CAP = 0x179,
	MCG_CAP_BANKS = 0xff,
	MSR_MC0_STATUS = 0x401,
	MSR_STEP = 4,
};

static const u64 MCI_STATUS_VALID = 1ULL << 63, MCI_STATUS_UNCORRECTED = 1ULL << 61;

struct pk_accident pk_accident;

static u16 name[] = u"PykexecAccident";

static void say(const struct pk_accident *accident)
{
	switch (accident->kind) {
	case PK_ACCIDENT_HANG:
		pk_print("pykexec: the firmware did not come back from operation %d\n", accident->number);
		break;
	case PK_ACCIDENT_MACHINE_CHECK:
		pk_print("pykexec: machine check at %x, bank %d says %x\n", accident->address,
			 (u64)accident->number, accident->detail);
		break;
	case PK_ACCIDENT_DOUBLE_FAULT:
		pk_print("pykexec: double fault in the firmware at %x\n", accident->address);
		break;
	}
}

void pk_accident_recall(void)
{
	struct pk_accident found;
	u64 size = sizeof(found);
	u32 attributes;

	if (EFI_ERROR(pk_st->runtime->get_variable(name, (efi_guid_t *)&efi_guid_pykexec_mailbox, &attributes, &size,
						   &found)))
		return;
	pk_st->runtime->set_variable(name, (efi_guid_t *)&efi_guid_pykexec_mailbox, ATTRIBUTES, 0, NULL);
	if (size != sizeof(found))
		return;
	pk_accident = found;
	pk_print("pykexec: the last start ended by a reset:\n");
	say(&found);
}

static void __attribute__((noreturn)) reset(struct pk_accident *accident, efi_tpl_t highest)
{
	efi_tpl_t tpl = pk_bs->raise_tpl(EFI_TPL_HIGH_LEVEL);

	pk_bs->restore_tpl(tpl);
	/* Above, the services may be what was interrupted (7.1.8). */
	if (tpl <= highest) {
		pk_st->runtime->set_variable(name, (efi_guid_t *)&efi_guid_pykexec_mailbox, ATTRIBUTES,
					     sizeof(*accident), accident);
		say(accident);
	}
	for (;;)
		pk_st->runtime->reset_system(EFI_RESET_COLD, EFI_SUCCESS, 0, NULL);
}

void pk_accident_hang(u32 operation)
{
	struct pk_accident accident = { .kind = PK_ACCIDENT_HANG, .number = operation };

	/* What is called at that level has interrupted nobody that was higher. */
	reset(&accident, EFI_TPL_NOTIFY);
}

/* The first error that was not corrected, else the first. */
static void read_banks(struct pk_accident *accident)
{
	u32 nr_banks = pk_rdmsr(MSR_MCG_CAP) & MCG_CAP_BANKS;

	for (u32 bank = 0; bank < nr_banks; bank++) {
		u64 status = pk_rdmsr(MSR_MC0_STATUS + MSR_STEP * bank);

		if (!(status & MCI_STATUS_VALID) || (accident->detail && !(status & MCI_STATUS_UNCORRECTED)))
			continue;
		accident->number = bank;
		accident->detail = status;
		if (status & MCI_STATUS_UNCORRECTED)
			return;
	}
}

void pk_accident_fault(void)
{
	struct pk_accident accident = { .kind = PK_ACCIDENT_DOUBLE_FAULT, .address = pk_fault.address };

	if (pk_fault.vector == PK_VECTOR_MACHINE_CHECK) {
		accident.kind = PK_ACCIDENT_MACHINE_CHECK;
		read_banks(&accident);
	}
	reset(&accident, EFI_TPL_CALLBACK);
}
