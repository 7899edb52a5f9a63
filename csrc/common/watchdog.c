// SPDX-License-Identifier: Apache-2.0
/* ACPI tables that describe a watchdog. */
#include <common/mem.h>
#include <common/watchdog.h>

enum {
	/* WDAT */
	FLAGS		= 60,
	IS_ENABLED	= 1,
	NR_ENTRIES	= 64,
	ENTRIES		= 68,
	ENTRY_SIZE	= 24,
	/* an entry */
	INSTRUCTION	= 1,
	PRESERVES	= 0x80,
	WHERE		= 4,
	VALUE		= 16,
	MASK		= 20,

	WDRT_CONTROL	= 36,
	WDRT_SIZE	= 71,
	WDRT_WIDTH	= 4,
	BITS_OF_BYTE	= 8,
};

static u32 at(const u8 *bytes)
{
	u32 value;

	memcpy(&value, bytes, sizeof(value));
	return value;
}

/* How much is read at once, where it is not said: what holds the field. */
static bool complete(struct pk_acpi_address *where)
{
	u32 bits = (u32)where->first + where->bits;

	if (!where->access)
		where->access = bits <= 8 ? 1 : bits <= 16 ? 2 : 4;
	return where->address && where->first < where->access * BITS_OF_BYTE;
}

bool pk_wdat_step(const void *table, u64 size, enum pk_wdat_action action, u32 n, struct pk_wdat_step *ret)
{
	const u8 *bytes = table;
	struct pk_wdat_step step;
	u32 nr;

	if (!pk_acpi_table_is_sound(table, size) || size < ENTRIES || !(bytes[FLAGS] & IS_ENABLED))
		return false;
	nr = at(bytes + NR_ENTRIES);
	if (nr > (size - ENTRIES) / ENTRY_SIZE)
		return false;
	for (u32 i = 0; i < nr; i++) {
		const u8 *entry = bytes + ENTRIES + i * ENTRY_SIZE;

		if (entry[0] != action || n--)
			continue;
		step = (struct pk_wdat_step){
			.instruction = entry[INSTRUCTION] & (PRESERVES - 1),
			.preserves = entry[INSTRUCTION] & PRESERVES,
			.value = at(entry + VALUE),
			.mask = at(entry + MASK),
		};
		pk_acpi_address(entry + WHERE, &step.where);
		if (!complete(&step.where) || step.where.space > PK_ACPI_IO ||
		    step.instruction > PK_WDAT_WRITE_COUNTDOWN)
			return false;
		*ret = step;
		return true;
	}
	return false;
}

bool pk_wdrt_control(const void *table, u64 size, struct pk_acpi_address *ret)
{
	struct pk_acpi_address found;

	if (!pk_acpi_table_is_sound(table, size) || size < WDRT_SIZE)
		return false;
	pk_acpi_address((const u8 *)table + WDRT_CONTROL, &found);
	if (found.space != PK_ACPI_MEMORY || !found.address)
		return false;
	found.access = WDRT_WIDTH;
	*ret = found;
	return true;
}
