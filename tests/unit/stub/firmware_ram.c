// SPDX-License-Identifier: Apache-2.0
/*
 * The stub's digests of the firmware's memory, on a firmware of a few pages. Words on standard input, a
 * line of what came of each: init; remember KINDS; compare KINDS; write REGION OFFSET; ask CAPACITY ACTION
 * KINDS; end. Regions are those below, in this order.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stub/lib/stub.h>
#include <stub/services/firmware_ram.h>
#include <stub/services/mapped.h>

enum { NR_REGIONS = 8, STEP = 56, ROOM = 4096 * 24 + 64 };

struct efi_system_table *pk_st;
struct efi_boot_services *pk_bs;

static struct {
	u32 type;
	u64 nr_pages;
	u64 attribute;
	u64 nr_hidden;	/* pages at its end that the firmware's page tables do not map */
	u8 *memory;
} regions[NR_REGIONS] = {
	{ EFI_RUNTIME_SERVICES_CODE, 3, EFI_MEMORY_WB, 0, NULL },
	{ EFI_RUNTIME_SERVICES_DATA, 4, EFI_MEMORY_WB, 1, NULL },
	{ EFI_ACPI_RECLAIM_MEMORY, 2, EFI_MEMORY_WB, 0, NULL },
	{ EFI_ACPI_MEMORY_NVS, 2, EFI_MEMORY_WB, 0, NULL },
	{ EFI_RESERVED_MEMORY_TYPE, 2000, EFI_MEMORY_WB, 0, NULL },
	{ EFI_RESERVED_MEMORY_TYPE, 1, EFI_MEMORY_UC, 0, NULL },	/* registers */
	{ EFI_BOOT_SERVICES_DATA, 2, EFI_MEMORY_WB, 0, NULL },
	{ EFI_CONVENTIONAL_MEMORY, 2, EFI_MEMORY_WB, 0, NULL },
};
static u64 nr_allocated;

static efi_status_t EFIAPI get_memory_map(u64 *size, void *map, u64 *key, u64 *step, u32 *version)
{
	if (*size < NR_REGIONS * STEP)
		return EFI_BUFFER_TOO_SMALL;
	for (u32 i = 0; i < NR_REGIONS; i++) {
		struct efi_memory_descriptor descriptor = {
			.type = regions[i].type,
			.physical_start = (u64)regions[i].memory,
			.number_of_pages = regions[i].nr_pages,
			.attribute = regions[i].attribute,
		};

		memcpy((u8 *)map + i * STEP, &descriptor, sizeof(descriptor));
	}
	*size = NR_REGIONS * STEP;
	*step = STEP;
	*key = 1;
	*version = 1;
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI allocate_pages(u32 type, u32 memory_type, u64 nr_pages, u64 *address)
{
	(void)type;
	(void)memory_type;
	*address = (u64)aligned_alloc(PK_PAGE_SIZE, nr_pages * PK_PAGE_SIZE);
	nr_allocated += nr_pages;
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI free_pages(u64 address, u64 nr_pages)
{
	free((void *)address);
	nr_allocated -= nr_pages;
	return EFI_SUCCESS;
}

u64 pk_mapped_bytes(u64 address, u64 limit)
{
	for (u32 i = 0; i < NR_REGIONS; i++) {
		u64 start = (u64)regions[i].memory, end = start + regions[i].nr_pages * PK_PAGE_SIZE;
		u64 hidden = end - regions[i].nr_hidden * PK_PAGE_SIZE;

		if (address >= start && address < end)
			return address >= hidden ? 0 : hidden - address < limit ? hidden - address : limit;
	}
	abort();
}

/* Which region a range lies in, and at which page. */
static void print_range(const struct pk_ram_range *found)
{
	for (u32 i = 0; i < NR_REGIONS; i++) {
		u64 start = (u64)regions[i].memory;

		if (found->range.start >= start && found->range.start < start + regions[i].nr_pages * PK_PAGE_SIZE)
			printf(" %u@%llu+%llu:%u", i, (unsigned long long)(found->range.start - start) / PK_PAGE_SIZE,
			       (unsigned long long)found->range.size / PK_PAGE_SIZE, found->type);
	}
}

static void ask(u64 capacity, u32 action, u32 kinds)
{
	struct pk_ram_request request = { action, kinds };
	u8 *answer = malloc(capacity ? capacity : 1);	/* of just this size, for ASan */
	struct pk_call call = { &request, sizeof(request), answer, capacity, 0 };
	efi_status_t status = pk_firmware_ram(&call);
	struct pk_ram_reply reply;

	printf("%llx", (unsigned long long)(status & ~EFI_ERROR_BIT));
	if (!EFI_ERROR(status)) {
		memcpy(&reply, answer, sizeof(reply));
		printf(" watched %llu left out %llu pieces %u kinds %u changed %u",
		       (unsigned long long)reply.watched / PK_PAGE_SIZE,
		       (unsigned long long)reply.left_out / PK_PAGE_SIZE, reply.nr_pieces, reply.kinds,
		       reply.nr_changed);
		for (u32 i = 0; i < reply.nr_changed; i++)
			print_range((struct pk_ram_range *)(answer + sizeof(reply)) + i);
		if (call.answered != sizeof(reply) + reply.nr_changed * sizeof(struct pk_ram_range))
			printf(" wrong size");
	}
	printf("\n");
	free(answer);
}

int main(void)
{
	static struct efi_boot_services services = {
		.get_memory_map = get_memory_map,
		.allocate_pages = allocate_pages,
		.free_pages = free_pages,
	};
	unsigned long long a, b, c;
	char word[16];

	pk_bs = &services;
	for (u32 i = 0; i < NR_REGIONS; i++)
		regions[i].memory = calloc(regions[i].nr_pages, PK_PAGE_SIZE);
	while (scanf("%15s", word) == 1) {
		if (!strcmp(word, "init"))
			pk_firmware_ram_init();
		else if (!strcmp(word, "end"))
			pk_firmware_ram_deinit();
		else if (!strcmp(word, "write") && scanf("%llu %llu", &a, &b) == 2)
			regions[a].memory[b] ^= 1;
		else if (!strcmp(word, "ask") && scanf("%llu %llu %llu", &a, &b, &c) == 3)
			ask(a, (u32)b, (u32)c);
		else if (!strcmp(word, "remember") && scanf("%llu", &a) == 1)
			ask(ROOM, PK_RAM_REMEMBER, (u32)a);
		else if (!strcmp(word, "compare") && scanf("%llu", &a) == 1)
			ask(ROOM, PK_RAM_COMPARE, (u32)a);
		else
			return 2;
	}
	for (u32 i = 0; i < NR_REGIONS; i++)
		free(regions[i].memory);
	printf("allocated %llu\n", (unsigned long long)nr_allocated);
	return 0;
}
