/* SPDX-License-Identifier: Apache-2.0 */
/* Where a BMC is (IPMI 2.0, appendix C1 and C3), and what its watchdog is asked (27). */
#ifndef PK_COMMON_IPMI_H
#define PK_COMMON_IPMI_H

#include <common/acpi.h>

/* How it is spoken to: as SMBIOS and SPMI number it. */
enum pk_ipmi_kind {
	PK_IPMI_NONE	= 0,
	PK_IPMI_KCS	= 1,
};

struct pk_ipmi {
	enum pk_ipmi_kind kind;			/* of others only the number is known */
	struct pk_acpi_address data, status;	/* a byte each; what is written to the second is a command */
};

/* The structure of a table of SMBIOS that has this type, the first of them; NULL if there is none. */
const u8 *pk_smbios_find(const void *table, u64 size, u8 type, u64 *ret_size);

/* Where an entry point of SMBIOS, of version 2 or 3, says that the table is; false where it is damaged. */
bool pk_smbios_table(const void *entry, u64 *ret_address, u64 *ret_size);

/* A structure of type 38, "IPMI Device Information", or the ACPI table SPMI. False where it is damaged. */
bool pk_ipmi_of_smbios(const u8 *structure, u64 size, struct pk_ipmi *ret);
bool pk_ipmi_of_spmi(const void *table, u64 size, struct pk_ipmi *ret);

enum {
	PK_SMBIOS_IPMI		= 38,
	PK_IPMI_APP		= 0x06,		/* network function */
	PK_IPMI_RESET_WATCHDOG	= 0x22,
	PK_IPMI_SET_WATCHDOG	= 0x24,
	PK_IPMI_GET_WATCHDOG	= 0x25,
	PK_IPMI_WATCHDOG_RUNS	= 0x40,		/* of the first byte; to Set: go on running */
	PK_IPMI_WATCHDOG_SIZE	= 6,		/* bytes that Set takes and Get begins with */
};

#endif
