// SPDX-License-Identifier: Apache-2.0
/* The BMC's watchdog. */
#include <stub/gate/bmc.h>
#include <stub/gate/kcs.h>
#include <stub/gate/register.h>
#include <stub/lib/acpi_tables.h>
#include <stub/lib/console.h>
#include <stub/lib/string.h>
#include <stub/lib/stub.h>

enum {
	TO_LUN_0	= PK_IPMI_APP << 2,
	HEADER		= 3,	/* network function, command, completion code */
	EXPIRED		= 3,	/* among the watchdog's bytes: what it has done, no state */
	NO_ANSWER	= -1,
};

static struct pk_ipmi bmc;
static u64 armed;	/* as pk_bmc_read(); 0: it was not */

static bool of_smbios(struct pk_ipmi *ret)
{
	const efi_guid_t *guids[] = { &efi_guid_smbios3_table, &efi_guid_smbios_table };
	const u8 *structure;
	u64 address, size;

	for (u32 i = 0; i < sizeof(guids) / sizeof(guids[0]); i++) {
		const void *entry = pk_configuration_table(guids[i]);

		if (!entry || !pk_smbios_table(entry, &address, &size))
			continue;
		structure = pk_smbios_find((const void *)address, size, PK_SMBIOS_IPMI, &size);
		if (structure && pk_ipmi_of_smbios(structure, size, ret))
			return true;
	}
	return false;
}

static bool find(struct pk_ipmi *ret)
{
	const void *table;
	u64 size;

	if (of_smbios(ret))
		return true;
	table = pk_acpi_find("SPMI", 0, &size);
	return table && pk_ipmi_of_spmi(table, size, ret);
}

/* A command and what follows it. *ret_size bytes come behind the completion code of one that was done. */
static bool ask(u8 command, const u8 *body, u32 size, u8 *answer, u32 capacity)
{
	u8 request[2 + PK_IPMI_WATCHDOG_SIZE] = { TO_LUN_0, command };
	u8 reply[HEADER + PK_IPMI_WATCHDOG_SIZE];
	u32 answered;

	if (size)
		memcpy(request + 2, body, size);
	if (!pk_kcs_ask(&bmc, request, 2 + size, reply, HEADER + capacity, &answered))
		return false;
	if (answered < HEADER + capacity || reply[0] != (TO_LUN_0 | 4) || reply[1] != command || reply[2])
		return false;
	memcpy(answer, reply + HEADER, capacity);
	return true;
}

u64 pk_bmc_read(u32 which, u32 index)
{
	u64 value = 0;

	(void)which;
	(void)index;
	if (!ask(PK_IPMI_GET_WATCHDOG, NULL, 0, (u8 *)&value, PK_IPMI_WATCHDOG_SIZE))
		return (u64)NO_ANSWER;
	((u8 *)&value)[EXPIRED] = 0;
	return value;
}

/* To set it stops it; what sets it going is its reset. */
static bool set(u64 value)
{
	u64 stopped = value & ~(u64)PK_IPMI_WATCHDOG_RUNS;
	u8 none;

	if (!ask(PK_IPMI_SET_WATCHDOG, (const u8 *)&stopped, PK_IPMI_WATCHDOG_SIZE, &none, 0))
		return false;
	return !(value & PK_IPMI_WATCHDOG_RUNS) || ask(PK_IPMI_RESET_WATCHDOG, NULL, 0, &none, 0);
}

void pk_bmc_write(u32 which, u32 index, u64 value)
{
	(void)which;
	(void)index;
	/* Should it not answer, what is read afterwards differs. */
	set(value);
}

static bool can_be_asked(void)
{
	return bmc.kind == PK_IPMI_KCS && pk_register_is_there(&bmc.data) && pk_register_is_there(&bmc.status);
}

bool pk_bmc_armed(void)
{
	static bool is_known;

	if (!is_known && find(&bmc) && can_be_asked()) {
		u64 found = pk_bmc_read(0, 0);

		if (found == (u64)NO_ANSWER)
			pk_print("pykexec: the BMC does not say whether its watchdog runs\n");
		else if (found & PK_IPMI_WATCHDOG_RUNS)
			armed = found;
	}
	is_known = true;
	return armed;
}

void pk_bmc_tell(void)
{
	if (!pk_bmc_armed() && bmc.kind != PK_IPMI_NONE && !can_be_asked())
		pk_print("pykexec: the BMC's watchdog cannot be asked (interface %d): switch it off in setup\n",
			 (u64)bmc.kind);
}

void pk_bmc_halt(void)
{
	if (pk_bmc_armed() && !set(armed & ~(u64)PK_IPMI_WATCHDOG_RUNS))
		pk_print("pykexec: the BMC's watchdog goes on: it may reset Linux\n");
}
