// SPDX-License-Identifier: Apache-2.0
/*
 * Has anybody written where only the firmware should? Digests of its memory, by pieces, under a key that
 * is made here and told to nobody: Linux asks and hears which pieces differ. It names no address, gets no
 * content, and cannot have a digest taken again of what has one.
 */
#include <common/siphash.h>
#include <stub/lib/io.h>
#include <stub/lib/string.h>
#include <stub/lib/stub.h>
#include <stub/lib/test.h>
#include <stub/services/firmware_ram.h>
#include <stub/services/mapped.h>

enum {
	MAP_CAPACITY = 256 * 1024,
	PIECES_MAX = 1024,	/* of each kind */
	STEP_MAX = 1 << 30,
	NR_KINDS = 3,
	ALL_KINDS = PK_RAM_RUNTIME | PK_RAM_ACPI | PK_RAM_RESERVED,
};

struct piece {
	u64 start;
	u64 size;
	u64 digest;
	u32 type;
	u32 reserved;
};

struct kind {
	struct piece pieces[PIECES_MAX];
	u32 nr_pieces;
	u64 watched;
	u64 left_out;
};

enum { MEMORY_PAGES = (NR_KINDS * sizeof(struct kind) + MAP_CAPACITY + PK_PAGE_SIZE - 1) / PK_PAGE_SIZE };

/* Beside our image, in which it would stay resident in all those that do not certify. */
static struct memory {
	struct kind kinds[NR_KINDS];
	u8 map[MAP_CAPACITY];
} *memory;

static struct pk_siphash_key key;
static u32 known;	/* kinds that have digests */

static u32 kind_of(const struct efi_memory_descriptor *descriptor)
{
	switch (descriptor->type) {
	case EFI_RUNTIME_SERVICES_CODE:
	case EFI_RUNTIME_SERVICES_DATA:
		return PK_RAM_RUNTIME;
	case EFI_ACPI_RECLAIM_MEMORY:
	case EFI_ACPI_MEMORY_NVS:
		return PK_RAM_ACPI;
	case EFI_RESERVED_MEMORY_TYPE:
		/* Registers are not to be read. */
		return descriptor->attribute & EFI_MEMORY_WB ? PK_RAM_RESERVED : 0;
	default:
		return 0;
	}
}

static u64 digest_of(const struct piece *piece)
{
	return pk_siphash(&key, (const void *)piece->start, piece->size);
}

static void keep_piece(struct kind *kind, struct piece piece)
{
	if (!piece.size || kind->nr_pieces == PIECES_MAX) {
		kind->left_out += piece.size ? piece.size : PK_PAGE_SIZE;
		return;
	}
	piece.digest = digest_of(&piece);
	kind->pieces[kind->nr_pieces++] = piece;
	kind->watched += piece.size;
}

/* What of a descriptor is readable, in pieces of at most step bytes: how many; they are kept if keep. */
static u32 cut(u32 kind, const struct efi_memory_descriptor *descriptor, u64 step, bool keep)
{
	u64 at = descriptor->physical_start, end = at + descriptor->number_of_pages * PK_PAGE_SIZE;
	u32 nr = 0;

	while (at < end) {
		u64 size = pk_mapped_bytes(at, end - at < step ? end - at : step);

		nr += size != 0;
		if (keep)
			keep_piece(&memory->kinds[kind], (struct piece){ at, size, 0, descriptor->type, 0 });
		at += size ? size : PK_PAGE_SIZE;
	}
	return nr;
}

/* Cut, or only count, what the map has of a kind. */
static u64 walk(u32 kind, u64 map_size, u64 map_step, u64 step, bool keep)
{
	u64 nr = 0;

	for (u64 at = 0; at + sizeof(struct efi_memory_descriptor) <= map_size; at += map_step) {
		const struct efi_memory_descriptor *descriptor = (const void *)(memory->map + at);

		if (kind_of(descriptor) == 1U << kind)
			nr += cut(kind, descriptor, step, keep);
	}
	return nr;
}

/* As fine as the table holds. */
static efi_status_t remember(u32 wanted)
{
	u64 size = sizeof(memory->map), map_key, map_step;
	efi_status_t status;
	u32 version;

	status = pk_bs->get_memory_map(&size, memory->map, &map_key, &map_step, &version);
	if (EFI_ERROR(status))
		return status;
	for (u32 kind = 0; kind < NR_KINDS; kind++) {
		u64 step = PK_PAGE_SIZE;

		if (!(wanted & ~known & 1U << kind))
			continue;
		while (walk(kind, size, map_step, step, false) > PIECES_MAX && step < STEP_MAX)
			step *= 2;
		walk(kind, size, map_step, step, true);
		known |= 1U << kind;
	}
	return EFI_SUCCESS;
}

static u64 mixed(u64 x)
{
	/* SplitMix64's finish. */
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

void pk_firmware_ram_init(void)
{
	u64 address;

	if (EFI_ERROR(pk_bs->allocate_pages(EFI_ALLOCATE_ANY_PAGES, EFI_LOADER_DATA, MEMORY_PAGES, &address)))
		return;
	memory = (struct memory *)address;
	memset(memory, 0, sizeof(*memory));
	key = (struct pk_siphash_key){ mixed(pk_rdtsc()), mixed(~pk_rdtsc()) };
	if (EFI_ERROR(remember(PK_RAM_RUNTIME | PK_RAM_ACPI)))
		pk_firmware_ram_deinit();
}

void pk_firmware_ram_deinit(void)
{
	if (memory)
		pk_bs->free_pages((u64)memory, MEMORY_PAGES);
	memory = NULL;
	known = 0;
}

/* Ranges that differ, into out as far as there is room; how many in all. */
static u32 compare(u32 kind, struct pk_ram_range *out, u64 room)
{
	u32 nr = 0;

	for (u32 i = 0; i < memory->kinds[kind].nr_pieces; i++) {
		const struct piece *piece = &memory->kinds[kind].pieces[i];

		if (digest_of(piece) == piece->digest)
			continue;
		if (nr < room)
			out[nr] = (struct pk_ram_range){ { piece->start, piece->size }, piece->type, 0 };
		nr++;
	}
	return nr;
}

efi_status_t pk_firmware_ram(struct pk_call *call)
{
	const struct pk_ram_request *request = call->body;
	struct pk_ram_reply *reply = call->answer;
	struct pk_ram_range *ranges = (void *)(reply + 1);
	u64 room;
	efi_status_t status;

	if (!pk_test_certifies(memory != NULL))
		return EFI_NOT_READY;
	if (call->capacity < sizeof(*reply))
		return EFI_BUFFER_TOO_SMALL;
	if (request->kinds & ~(u32)ALL_KINDS || request->action > PK_RAM_COMPARE)
		return EFI_INVALID_PARAMETER;
	if (request->action == PK_RAM_REMEMBER) {
		status = remember(request->kinds);
		if (EFI_ERROR(status))
			return status;
	}
	room = (call->capacity - sizeof(*reply)) / sizeof(*ranges);
	*reply = (struct pk_ram_reply){ .kinds = known };
	for (u32 kind = 0; kind < NR_KINDS; kind++) {
		if (!(request->kinds & known & 1U << kind))
			continue;
		reply->watched += memory->kinds[kind].watched;
		reply->left_out += memory->kinds[kind].left_out;
		reply->nr_pieces += memory->kinds[kind].nr_pieces;
		if (request->action == PK_RAM_COMPARE)
			reply->nr_changed += compare(kind, ranges + reply->nr_changed, room - reply->nr_changed);
		if (reply->nr_changed > room)
			return EFI_BUFFER_TOO_SMALL;
	}
	call->answered = sizeof(*reply) + reply->nr_changed * sizeof(*ranges);
	return EFI_SUCCESS;
}
