// SPDX-License-Identifier: Apache-2.0
/* Where a BMC is. */
#include <common/ipmi.h>
#include <common/mem.h>

enum {
	/* every structure of SMBIOS (DSP0134 3.7, 6.1.2) */
	TYPE		= 0,
	LENGTH		= 1,
	HEADER		= 4,
	END_OF_TABLE	= 127,
	/* entry points (5.2.1, 5.2.2) */
	ENTRY2_LENGTH	= 5,
	ENTRY2_SIZE	= 0x16,
	ENTRY2_ADDRESS	= 0x18,
	ENTRY2_MIN	= 0x1e,
	ENTRY3_LENGTH	= 6,
	ENTRY3_SIZE	= 0x0c,
	ENTRY3_ADDRESS	= 0x10,
	ENTRY3_MIN	= 0x18,
	/* type 38 (7.39.1) */
	IPMI_KIND	= 0x04,
	IPMI_BASE	= 0x08,
	IPMI_IS_PORT	= 1,
	IPMI_MODIFIER	= 0x10,
	IPMI_LOWEST_BIT	= 0x10,
	IPMI_SPACING	= 6,
	IPMI_MIN	= 0x10,
	/* SPMI */
	SPMI_KIND	= 36,
	SPMI_BASE	= 48,
	SPMI_MIN	= 60,
};

const u8 *pk_smbios_find(const void *table, u64 size, u8 type, u64 *ret_size)
{
	const u8 *bytes = table;
	u64 at = 0;

	while (size - at >= HEADER && bytes[at + LENGTH] >= HEADER && bytes[at + LENGTH] <= size - at) {
		u64 length = bytes[at + LENGTH], next = at + length;

		if (bytes[at + TYPE] == type) {
			*ret_size = length;
			return bytes + at;
		}
		if (bytes[at + TYPE] == END_OF_TABLE)
			break;
		/* Strings follow, the last of which is empty. */
		while (size - next >= 2 && (bytes[next] || bytes[next + 1]))
			next++;
		if (size - next < 2)
			break;
		at = next + 2;
	}
	return NULL;
}

static bool is_sound(const u8 *bytes, u32 length, u32 min)
{
	u8 sum = 0;

	for (u32 i = 0; i < length; i++)
		sum = (u8)(sum + bytes[i]);
	return length >= min && !sum;
}

bool pk_smbios_table(const void *entry, u64 *ret_address, u64 *ret_size)
{
	const u8 *bytes = entry;
	u32 address, size;
	u16 size2;

	if (!memcmp(bytes, "_SM3_", 5)) {
		if (!is_sound(bytes, bytes[ENTRY3_LENGTH], ENTRY3_MIN))
			return false;
		memcpy(&size, bytes + ENTRY3_SIZE, sizeof(size));
		memcpy(ret_address, bytes + ENTRY3_ADDRESS, sizeof(*ret_address));
		*ret_size = size;
		return true;
	}
	if (memcmp(bytes, "_SM_", 4) || !is_sound(bytes, bytes[ENTRY2_LENGTH], ENTRY2_MIN))
		return false;
	memcpy(&size2, bytes + ENTRY2_SIZE, sizeof(size2));
	memcpy(&address, bytes + ENTRY2_ADDRESS, sizeof(address));
	*ret_size = size2;
	*ret_address = address;
	return true;
}

static void set_place(struct pk_ipmi *ipmi, u8 space, u64 address, u32 spacing)
{
	ipmi->data = (struct pk_acpi_address){ .space = space, .address = address, .bits = 8, .access = 1 };
	ipmi->status = ipmi->data;
	ipmi->status.address += spacing;
}

bool pk_ipmi_of_smbios(const u8 *structure, u64 size, struct pk_ipmi *ret)
{
	static const u8 spacings[] = { 1, 4, 16 };
	struct pk_ipmi found = { 0 };
	u8 modifier;
	u64 base;

	if (size < IPMI_MIN)
		return false;
	modifier = size > IPMI_MODIFIER ? structure[IPMI_MODIFIER] : 0;
	memcpy(&base, structure + IPMI_BASE, sizeof(base));
	found.kind = structure[IPMI_KIND];
	if (found.kind == PK_IPMI_KCS) {
		if (modifier >> IPMI_SPACING >= sizeof(spacings) || base <= IPMI_IS_PORT)
			return false;
		set_place(&found, base & IPMI_IS_PORT ? PK_ACPI_IO : PK_ACPI_MEMORY,
			  (base & ~(u64)IPMI_IS_PORT) | (modifier & IPMI_LOWEST_BIT ? 1 : 0),
			  spacings[modifier >> IPMI_SPACING]);
	}
	*ret = found;
	return true;
}

bool pk_ipmi_of_spmi(const void *table, u64 size, struct pk_ipmi *ret)
{
	struct pk_ipmi found = { 0 };
	struct pk_acpi_address base;

	if (!pk_acpi_table_is_sound(table, size) || size < SPMI_MIN)
		return false;
	pk_acpi_address((const u8 *)table + SPMI_BASE, &base);
	found.kind = ((const u8 *)table)[SPMI_KIND];
	if (found.kind == PK_IPMI_KCS) {
		if (!base.address || base.space > PK_ACPI_IO)
			return false;
		/* As wide as one is, so far is the other; both are bytes. */
		set_place(&found, base.space, base.address, base.bits > 8 ? base.bits / 8 : 1);
	}
	*ret = found;
	return true;
}
