// SPDX-License-Identifier: Apache-2.0
/*
 * PE32+ EFI images as untrusted bytes (PE/COFF specification 8.3). The rules are
 * those of EDK II's loader where the specification leaves room: objcopy, GNU ld
 * and the kernel's own header all make files that Windows would not take.
 */
#include <common/mem.h>
#include <common/pe.h>

enum {
	PK_DOS_MAGIC		= 0x5a4d,	/* MZ */
	PK_PE_MAGIC		= 0x00004550,	/* PE\0\0 */
	PK_PE_MACHINE_X64	= 0x8664,
	PK_PE_OPTIONAL_MAGIC	= 0x20b,
	PK_PE_EFI_APPLICATION	= 10,
	PK_PE_SECTIONS_MAX	= 96,		/* Windows' limit; keeps the overlap test short */
	PK_PE_NAME_SIZE		= 8,
	PK_PE_SECTION_EXECUTE	= 0x20000000,
	PK_PE_SECTION_WRITE	= 0x80000000,
};

struct dos_header {
	u16 magic;
	u16 unused[29];
	u32 pe_offset;
};
_Static_assert(sizeof(struct dos_header) == 64, "MZ header");

struct coff_header {
	u32 magic;
	u16 machine;
	u16 nr_sections;
	u32 timestamp;
	u32 symbol_table;
	u32 nr_symbols;
	u16 optional_size;
	u16 characteristics;
};
_Static_assert(sizeof(struct coff_header) == 24, "PE signature and COFF header");

struct optional_header {
	u16 magic;
	u8 linker_version[2];
	u32 size_of_code;
	u32 size_of_data;
	u32 size_of_bss;
	u32 entry;
	u32 base_of_code;
	u64 image_base;
	u32 section_alignment;
	u32 file_alignment;
	u16 versions[6];
	u32 reserved;
	u32 size_of_image;
	u32 size_of_headers;
	u32 checksum;
	u16 subsystem;
	u16 dll_characteristics;
	u64 stack_and_heap[4];
	u32 loader_flags;
	u32 nr_directories;
};
_Static_assert(sizeof(struct optional_header) == 112, "PE32+ optional header without directories");

struct section_header {
	u8 name[PK_PE_NAME_SIZE];
	u32 virtual_size;
	u32 virtual_address;
	u32 raw_size;
	u32 raw_offset;
	u32 unused[3];
	u32 characteristics;
};
_Static_assert(sizeof(struct section_header) == 40, "section header");

struct headers {
	struct coff_header coff;
	struct optional_header optional;
	u64 section_table;
};

static bool read_at(const void *file, u64 size, u64 offset, void *ret, u64 ret_size)
{
	if (offset > size || ret_size > size - offset)
		return false;
	memcpy(ret, (const u8 *)file + offset, ret_size);
	return true;
}

static struct section_header section_at(const void *file, u64 section_table, u64 index)
{
	struct section_header section;

	memcpy(&section, (const u8 *)file + section_table + index * sizeof(section), sizeof(section));
	return section;
}

static bool power_of_two(u64 value)
{
	return value && !(value & (value - 1));
}

/* A section without VirtualSize is as large as its data. */
static u64 memory_size(const struct section_header *section)
{
	return section->virtual_size ? section->virtual_size : section->raw_size;
}

/*
 * Do two sections claim the same memory? Read-only data may: the .sbat of
 * systemd 252's stub reaches into its .sdmagic, and every firmware starts it.
 */
static bool overlap(const struct section_header *a, const struct section_header *b)
{
	u64 a_end = a->virtual_address + memory_size(a);
	u64 b_end = b->virtual_address + memory_size(b);

	if (!memory_size(a) || !memory_size(b))
		return false;
	if (!((a->characteristics | b->characteristics) & (PK_PE_SECTION_EXECUTE | PK_PE_SECTION_WRITE)))
		return false;
	return a->virtual_address < b_end && b->virtual_address < a_end;
}

/* Bytes that come from the file; the rest is zero. */
static u64 copied_size(const struct section_header *section)
{
	u64 size = memory_size(section);

	if (!section->raw_offset)
		return 0;
	return section->raw_size < size ? section->raw_size : size;
}

static enum pk_pe_fault read_headers(const void *file, u64 size, struct headers *ret)
{
	struct dos_header dos;
	struct headers headers;
	u64 table_size;

	if (size < sizeof(dos.magic) || memcmp(file, &(const u16){ PK_DOS_MAGIC }, sizeof(dos.magic)))
		return PK_PE_NOT_PE;
	if (!read_at(file, size, 0, &dos, sizeof(dos)) ||
	    !read_at(file, size, dos.pe_offset, &headers.coff, sizeof(headers.coff)))
		return PK_PE_TRUNCATED;
	if (headers.coff.magic != PK_PE_MAGIC)
		return PK_PE_NOT_PE;
	if (headers.coff.machine != PK_PE_MACHINE_X64)
		return PK_PE_BAD_MACHINE;

	headers.section_table = (u64)dos.pe_offset + sizeof(headers.coff);
	if (!read_at(file, size, headers.section_table, &headers.optional.magic,
		     sizeof(headers.optional.magic)))
		return PK_PE_TRUNCATED;
	if (headers.optional.magic != PK_PE_OPTIONAL_MAGIC ||
	    headers.coff.optional_size < sizeof(headers.optional))
		return PK_PE_NOT_PE32_PLUS;
	if (!read_at(file, size, headers.section_table, &headers.optional, sizeof(headers.optional)))
		return PK_PE_TRUNCATED;

	headers.section_table += headers.coff.optional_size;
	table_size = headers.coff.nr_sections * sizeof(struct section_header);
	if (headers.section_table > size || table_size > size - headers.section_table)
		return PK_PE_TRUNCATED;
	*ret = headers;
	return PK_PE_OK;
}

static enum pk_pe_fault check_geometry(const struct headers *headers, u64 size)
{
	const struct optional_header *optional = &headers->optional;
	u64 table_end = headers->section_table + headers->coff.nr_sections * sizeof(struct section_header);

	if (optional->subsystem != PK_PE_EFI_APPLICATION)
		return PK_PE_NOT_EFI;
	if (!power_of_two(optional->section_alignment) || !power_of_two(optional->file_alignment))
		return PK_PE_BAD_ALIGNMENT;
	if (!headers->coff.nr_sections)
		return PK_PE_NO_SECTION;
	if (headers->coff.nr_sections > PK_PE_SECTIONS_MAX)
		return PK_PE_BAD_SECTION;
	if (optional->size_of_headers > size)
		return PK_PE_TRUNCATED;
	if (table_end > optional->size_of_headers || optional->size_of_headers > optional->size_of_image)
		return PK_PE_BAD_SECTION;
	return PK_PE_OK;
}

static enum pk_pe_fault check_sections(const void *file, u64 size, const struct headers *headers)
{
	const struct optional_header *optional = &headers->optional;
	bool entry_found = false;

	for (u64 i = 0; i < headers->coff.nr_sections; i++) {
		struct section_header a = section_at(file, headers->section_table, i);
		u64 start = a.virtual_address;
		u64 end = start + memory_size(&a);

		if (a.raw_offset && a.raw_size && (u64)a.raw_offset + a.raw_size > size)
			return PK_PE_BAD_SECTION;
		if (end > optional->size_of_image)
			return PK_PE_BAD_SECTION;
		if (start == end)
			continue;
		if (start < optional->size_of_headers)
			return PK_PE_OVERLAP;
		for (u64 j = 0; j < i; j++) {
			struct section_header b = section_at(file, headers->section_table, j);

			if (overlap(&a, &b))
				return PK_PE_OVERLAP;
		}
		entry_found |= start <= optional->entry && optional->entry < end;
	}
	return entry_found ? PK_PE_OK : PK_PE_BAD_ENTRY;
}

enum pk_pe_fault pk_pe_parse(const void *file, u64 size, struct pk_pe *ret)
{
	struct headers headers;
	enum pk_pe_fault fault;

	fault = read_headers(file, size, &headers);
	if (fault)
		return fault;
	fault = check_geometry(&headers, size);
	if (fault)
		return fault;
	fault = check_sections(file, size, &headers);
	if (fault)
		return fault;

	*ret = (struct pk_pe){
		.size_of_image = headers.optional.size_of_image,
		.size_of_headers = headers.optional.size_of_headers,
		.section_alignment = headers.optional.section_alignment,
		.entry = headers.optional.entry,
		.section_table = headers.section_table,
		.nr_sections = headers.coff.nr_sections,
		.subsystem = headers.optional.subsystem,
	};
	return PK_PE_OK;
}

bool pk_pe_is_application(const void *file, u64 size)
{
	struct headers headers;

	return read_headers(file, size, &headers) == PK_PE_OK && headers.optional.subsystem == PK_PE_EFI_APPLICATION;
}

void pk_pe_layout(const void *file, const struct pk_pe *pe, void *destination)
{
	u8 *image = destination;

	memset(image, 0, pe->size_of_image);
	memcpy(image, file, pe->size_of_headers);
	for (u64 i = 0; i < pe->nr_sections; i++) {
		struct section_header section = section_at(file, pe->section_table, i);

		if (copied_size(&section))
			memcpy(image + section.virtual_address, (const u8 *)file + section.raw_offset,
			       copied_size(&section));
	}
}

static bool has_name(const struct section_header *section, const char *name)
{
	for (u32 i = 0; i < PK_PE_NAME_SIZE; i++) {
		if (section->name[i] != (u8)name[i])
			return false;
		if (!name[i])
			return true;
	}
	return !name[PK_PE_NAME_SIZE];
}

enum pk_pe_fault pk_pe_find_section(const void *image, u64 image_size, const char *name,
				    struct pk_range *ret)
{
	struct headers headers;
	enum pk_pe_fault fault;

	fault = read_headers(image, image_size, &headers);
	if (fault)
		return fault;

	for (u64 i = 0; i < headers.coff.nr_sections; i++) {
		struct section_header section = section_at(image, headers.section_table, i);

		if (!has_name(&section, name))
			continue;
		if ((u64)section.virtual_address + section.virtual_size > image_size)
			return PK_PE_BAD_SECTION;
		*ret = (struct pk_range){ section.virtual_address, section.virtual_size };
		return PK_PE_OK;
	}
	return PK_PE_NO_SECTION;
}
