// SPDX-License-Identifier: Apache-2.0
/* TCG PC Client Platform Firmware Profile 1.05, chapter 10: sizes of the entries of an event log. */
#include <common/event_log.h>
#include <common/mem.h>

enum {
	SHA1_SIZE	= 20,
	ALGORITHMS_MAX	= 16,	/* HASH_COUNT of the TPM's reference code */
	DIGEST_MAX	= 64,
};

struct cursor {
	const u8 *data;
	u64 left;
};

/* TCG_EfiSpecIdEventAlgorithmSize */
struct algorithm {
	u16 id;
	u16 size;
};

struct algorithms {
	u32 count;
	struct algorithm list[ALGORITHMS_MAX];
};

/* size bytes, or NULL when fewer are left. */
static const u8 *take(struct cursor *cursor, u64 size)
{
	const u8 *data = cursor->data;

	if (size > cursor->left)
		return NULL;
	cursor->data += size;
	cursor->left -= size;
	return data;
}

static bool take16(struct cursor *cursor, u16 *ret)
{
	const u8 *data = take(cursor, sizeof(*ret));

	if (data)
		memcpy(ret, data, sizeof(*ret));
	return data;
}

static bool take32(struct cursor *cursor, u32 *ret)
{
	const u8 *data = take(cursor, sizeof(*ret));

	if (data)
		memcpy(ret, data, sizeof(*ret));
	return data;
}

/* The size and the data of an event, which end an entry of either format. */
static bool take_event(struct cursor *cursor, struct cursor *ret_event)
{
	const u8 *data;
	u32 size;

	if (!take32(cursor, &size) || size > PK_EVENT_MAX)
		return false;
	data = take(cursor, size);
	if (!data)
		return false;
	*ret_event = (struct cursor){ data, size };
	return true;
}

/* TCG_PCClientPCREvent */
static bool take_sha1_entry(struct cursor *cursor, struct cursor *ret_event)
{
	return take(cursor, 2 * sizeof(u32) + SHA1_SIZE) && take_event(cursor, ret_event);
}

/* TCG_EfiSpecIDEvent: which digests the entries that follow have. */
static bool take_algorithms(struct cursor *cursor, struct algorithms *ret)
{
	static const u8 signature[16] = "Spec ID Event03";
	enum { VERSION_SIZE = 8 };	/* platform class, minor, major, errata, size of a UINTN */
	const u8 *found = take(cursor, sizeof(signature));

	if (!found || memcmp(found, signature, sizeof(signature)) || !take(cursor, VERSION_SIZE) ||
	    !take32(cursor, &ret->count) || ret->count > ALGORITHMS_MAX)
		return false;
	for (u32 i = 0; i < ret->count; i++) {
		struct algorithm *algorithm = &ret->list[i];

		if (!take16(cursor, &algorithm->id) || !take16(cursor, &algorithm->size) ||
		    algorithm->size > DIGEST_MAX)
			return false;
	}
	return true;
}

static bool take_digest(struct cursor *cursor, const struct algorithms *algorithms)
{
	u16 id;

	if (!take16(cursor, &id))
		return false;
	for (u32 i = 0; i < algorithms->count; i++) {
		if (algorithms->list[i].id == id)
			return take(cursor, algorithms->list[i].size);
	}
	return false;
}

/* TCG_PCR_EVENT2 */
static bool take_agile_entry(struct cursor *cursor, const struct algorithms *algorithms)
{
	struct cursor event;
	u32 count;

	if (!take(cursor, 2 * sizeof(u32)) || !take32(cursor, &count) || count > algorithms->count)
		return false;
	for (u32 i = 0; i < count; i++) {
		if (!take_digest(cursor, algorithms))
			return false;
	}
	return take_event(cursor, &event);
}

bool pk_event_log_size(const u8 *log, u64 capacity, u64 last, bool agile, u64 *ret_size)
{
	struct cursor cursor = { log, capacity };
	struct algorithms algorithms;
	struct cursor event;
	u64 offset = 0;

	if (!take_sha1_entry(&cursor, &event) || (agile && !take_algorithms(&event, &algorithms)))
		return false;
	while (offset < last) {
		offset = capacity - cursor.left;
		if (offset > last)
			return false;
		if (!(agile ? take_agile_entry(&cursor, &algorithms) : take_sha1_entry(&cursor, &event)))
			return false;
	}
	*ret_size = capacity - cursor.left;
	return true;
}
