// SPDX-License-Identifier: Apache-2.0
/* Sealing and checking the handoff: Linux must not be able to send us anywhere but into the stub. */
#include <common/crc32.h>
#include <common/handoff.h>
#include <common/mem.h>

enum { PK_HANDOFF_SEALED = offsetof(struct pk_handoff, boot_params) };

static u32 checksum(const u8 *bytes)
{
	const u32 zero = 0;
	const u64 field = offsetof(struct pk_handoff, checksum);
	const u64 after = field + sizeof(zero);
	u32 crc;

	crc = pk_crc32(0, bytes, field);
	crc = pk_crc32(crc, &zero, sizeof(zero));
	return pk_crc32(crc, bytes + after, PK_HANDOFF_SEALED - after);
}

/* Subtractions only: start + size may wrap in a forged range. */
static bool inside(const struct pk_range *range, u64 start, u64 size)
{
	u64 offset = start - range->start;

	return start >= range->start && offset < range->size && size <= range->size - offset;
}

void pk_handoff_seal(struct pk_handoff *handoff)
{
	handoff->magic = PK_HANDOFF_MAGIC;
	handoff->version = PK_HANDOFF_VERSION;
	handoff->size = sizeof(*handoff);
	handoff->sealed_size = PK_HANDOFF_SEALED;
	handoff->checksum = checksum((const u8 *)handoff);
}

enum pk_handoff_fault pk_handoff_check(const void *handoff, u64 size, u64 address)
{
	struct pk_handoff sealed;

	if (size < sizeof(sealed))
		return PK_HANDOFF_BAD_SIZE;
	memcpy(&sealed, handoff, PK_HANDOFF_SEALED);

	if (sealed.magic != PK_HANDOFF_MAGIC)
		return PK_HANDOFF_BAD_MAGIC;
	if (sealed.version != PK_HANDOFF_VERSION)
		return PK_HANDOFF_BAD_VERSION;
	if (sealed.size != sizeof(sealed) || sealed.sealed_size != PK_HANDOFF_SEALED)
		return PK_HANDOFF_BAD_SIZE;
	if (sealed.checksum != checksum(handoff))
		return PK_HANDOFF_BAD_CHECKSUM;
	if (!inside(&sealed.stub, sealed.resume_entry, 1))
		return PK_HANDOFF_BAD_ENTRY;
	if (address && !inside(&sealed.stub, address, sizeof(sealed)))
		return PK_HANDOFF_BAD_ENTRY;
	return PK_HANDOFF_OK;
}
