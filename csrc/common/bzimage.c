// SPDX-License-Identifier: Apache-2.0
/* The Linux/x86 boot protocol's setup header as untrusted bytes (Documentation/arch/x86/boot.rst). */
#include <asm/bootparam.h>

#include <common/bzimage.h>
#include <common/mem.h>
#include <common/pe.h>

enum {
	PK_SETUP_OFFSET		= offsetof(struct boot_params, hdr),
	PK_SETUP_BOOT_FLAG	= 0xaa55,
	PK_SETUP_MAGIC		= 0x53726448,	/* HdrS */
	PK_SETUP_PROTOCOL_MIN	= 0x020c,	/* 2.12: xloadflags */
	PK_SETUP_SECTOR_SIZE	= 512,
	PK_SETUP_SECTS_DEFAULT	= 4,
	PK_SETUP_VERSION_BASE	= 0x200,	/* kernel_version counts from the second sector */
	PK_SETUP_SYSSIZE_UNIT	= 16,
};

/* The version string's place, 0 unless it is terminated within the setup code. */
static u64 find_version(const u8 *bytes, const struct setup_header *header, u64 setup_size)
{
	u64 start = header->kernel_version + PK_SETUP_VERSION_BASE;

	if (!header->kernel_version)
		return 0;
	for (u64 i = start; i < setup_size; i++)
		if (!bytes[i])
			return start;
	return 0;
}

static bool power_of_two(u32 value)
{
	return value && !(value & (value - 1));
}

enum pk_bzimage_fault pk_bzimage_parse(const void *file, u64 size, struct pk_bzimage *ret)
{
	struct setup_header header;
	struct pk_pe pe;
	u64 setup_size;

	if (size < PK_SETUP_OFFSET + sizeof(header))
		return PK_BZIMAGE_TRUNCATED;
	memcpy(&header, (const u8 *)file + PK_SETUP_OFFSET, sizeof(header));

	if (header.boot_flag != PK_SETUP_BOOT_FLAG || header.header != PK_SETUP_MAGIC)
		return PK_BZIMAGE_NOT_BZIMAGE;
	if (header.version < PK_SETUP_PROTOCOL_MIN)
		return PK_BZIMAGE_TOO_OLD;
	if (!(header.xloadflags & XLF_KERNEL_64))
		return PK_BZIMAGE_NOT_64BIT;
	if (!header.relocatable_kernel || !power_of_two(header.kernel_alignment))
		return PK_BZIMAGE_NOT_RELOCATABLE;

	setup_size = header.setup_sects ? header.setup_sects : PK_SETUP_SECTS_DEFAULT;
	setup_size = (setup_size + 1) * PK_SETUP_SECTOR_SIZE;
	if (size < setup_size + (u64)header.syssize * PK_SETUP_SYSSIZE_UNIT)
		return PK_BZIMAGE_TRUNCATED;

	switch (pk_pe_parse(file, size, &pe)) {
	case PK_PE_OK:
		break;
	case PK_PE_TRUNCATED:
		return PK_BZIMAGE_TRUNCATED;
	default:
		return PK_BZIMAGE_NO_EFI_STUB;
	}

	*ret = (struct pk_bzimage){
		.protocol = header.version,
		.cmdline_size = header.cmdline_size,
		.init_size = header.init_size,
		.pref_address = header.pref_address,
		.kernel_alignment = header.kernel_alignment,
		.version_offset = find_version(file, &header, setup_size),
		.has_five_levels = header.xloadflags & XLF_5LEVEL_ENABLED,
	};
	return PK_BZIMAGE_OK;
}
