/* SPDX-License-Identifier: Apache-2.0 */
/* PE32+ EFI images as untrusted bytes (PE/COFF specification 8.3). */
#ifndef PK_COMMON_PE_H
#define PK_COMMON_PE_H

#include <efi/types.h>
#include <pykexec/abi.h>

enum pk_pe_fault {
	PK_PE_OK,
	PK_PE_NOT_PE,		/* no MZ, no PE signature */
	PK_PE_TRUNCATED,
	PK_PE_BAD_MACHINE,	/* not x86-64 */
	PK_PE_NOT_PE32_PLUS,
	PK_PE_NOT_EFI,		/* subsystem is not EFI application */
	PK_PE_BAD_ALIGNMENT,
	PK_PE_BAD_SECTION,	/* outside the file or the image */
	PK_PE_OVERLAP,		/* sections overlap, one of them executable or writable, or the headers */
	PK_PE_BAD_ENTRY,
	PK_PE_NO_SECTION,
};

struct pk_pe {
	u64 size_of_image;
	u64 size_of_headers;
	u64 section_alignment;
	u64 entry;		/* RVA */
	u64 section_table;	/* file offset */
	u32 nr_sections;
	u32 subsystem;
};

/* Check the size bytes of a file; *ret is written only on PK_PE_OK. */
enum pk_pe_fault pk_pe_parse(const void *file, u64 size, struct pk_pe *ret);

/*
 * Is it, by its headers alone, an EFI application for this machine? What is not is a driver, which
 * stays when it has been started, or nothing that a firmware takes.
 */
bool pk_pe_is_application(const void *file, u64 size);

/* Lay the parsed file out at destination, which has pe->size_of_image bytes (zeroed here as needed). */
void pk_pe_layout(const void *file, const struct pk_pe *pe, void *destination);

/*
 * The section called name (at most 8 bytes) of an image that the firmware
 * loaded: virtual addresses, as systemd's stub finds them. *ret is relative to
 * the image, VirtualSize long.
 */
enum pk_pe_fault pk_pe_find_section(const void *image, u64 image_size, const char *name,
				    struct pk_range *ret);

#endif
