/* SPDX-License-Identifier: Apache-2.0 */
/* UEFI's basic types and the plain-data layouts that also run on the host (UEFI 2.10). */
#ifndef EFI_TYPES_H
#define EFI_TYPES_H

#include <pykexec/types.h>

typedef u64 efi_status_t;
typedef void *efi_handle_t;
typedef u16 efi_char16_t;

/* Appendix A. */
typedef struct {
	u32 a;
	u16 b;
	u16 c;
	u8 d[8];
} efi_guid_t;

#define EFI_ERROR_BIT (1ULL << 63)
#define EFI_ERROR(status) (((status) & EFI_ERROR_BIT) != 0)

/* Appendix D. */
#define EFI_SUCCESS 0ULL
#define EFI_LOAD_ERROR (EFI_ERROR_BIT | 1)
#define EFI_INVALID_PARAMETER (EFI_ERROR_BIT | 2)
#define EFI_UNSUPPORTED (EFI_ERROR_BIT | 3)
#define EFI_BAD_BUFFER_SIZE (EFI_ERROR_BIT | 4)
#define EFI_BUFFER_TOO_SMALL (EFI_ERROR_BIT | 5)
#define EFI_NOT_READY (EFI_ERROR_BIT | 6)
#define EFI_DEVICE_ERROR (EFI_ERROR_BIT | 7)
#define EFI_WRITE_PROTECTED (EFI_ERROR_BIT | 8)
#define EFI_OUT_OF_RESOURCES (EFI_ERROR_BIT | 9)
#define EFI_VOLUME_CORRUPTED (EFI_ERROR_BIT | 10)
#define EFI_VOLUME_FULL (EFI_ERROR_BIT | 11)
#define EFI_NO_MEDIA (EFI_ERROR_BIT | 12)
#define EFI_MEDIA_CHANGED (EFI_ERROR_BIT | 13)
#define EFI_NOT_FOUND (EFI_ERROR_BIT | 14)
#define EFI_ACCESS_DENIED (EFI_ERROR_BIT | 15)
#define EFI_TIMEOUT (EFI_ERROR_BIT | 18)
#define EFI_ALREADY_STARTED (EFI_ERROR_BIT | 20)
#define EFI_ABORTED (EFI_ERROR_BIT | 21)
#define EFI_INCOMPATIBLE_VERSION (EFI_ERROR_BIT | 25)
#define EFI_SECURITY_VIOLATION (EFI_ERROR_BIT | 26)
#define EFI_END_OF_MEDIA (EFI_ERROR_BIT | 28)

/* 7.2, EFI_MEMORY_TYPE. */
enum efi_memory_type {
	EFI_RESERVED_MEMORY_TYPE,
	EFI_LOADER_CODE,
	EFI_LOADER_DATA,
	EFI_BOOT_SERVICES_CODE,
	EFI_BOOT_SERVICES_DATA,
	EFI_RUNTIME_SERVICES_CODE,
	EFI_RUNTIME_SERVICES_DATA,
	EFI_CONVENTIONAL_MEMORY,
	EFI_UNUSABLE_MEMORY,
	EFI_ACPI_RECLAIM_MEMORY,
	EFI_ACPI_MEMORY_NVS,
	EFI_MEMORY_MAPPED_IO,
	EFI_MEMORY_MAPPED_IO_PORT_SPACE,
	EFI_PAL_CODE,
	EFI_PERSISTENT_MEMORY,
	EFI_UNACCEPTED_MEMORY_TYPE,
};

#define EFI_MEMORY_UC 0x1ULL
#define EFI_MEMORY_WB 0x8ULL
#define EFI_MEMORY_CACHEABILITY_MASK 0x1fULL
#define EFI_MEMORY_RP 0x2000ULL
#define EFI_MEMORY_XP 0x4000ULL
#define EFI_MEMORY_RO 0x20000ULL
#define EFI_MEMORY_SP 0x40000ULL
#define EFI_MEMORY_RUNTIME (1ULL << 63)

/* 7.2, EFI_MEMORY_DESCRIPTOR; arrays step by the firmware's DescriptorSize. */
struct efi_memory_descriptor {
	u32 type;
	u32 pad;
	u64 physical_start;
	u64 virtual_start;
	u64 number_of_pages;
	u64 attribute;
};

/* 8.2.1, attributes of a variable. */
#define EFI_VARIABLE_NON_VOLATILE 0x1U
#define EFI_VARIABLE_BOOTSERVICE_ACCESS 0x2U
#define EFI_VARIABLE_RUNTIME_ACCESS 0x4U
#define EFI_VARIABLE_APPEND_WRITE 0x40U

/* 10.3.1, EFI_DEVICE_PATH_PROTOCOL. */
struct efi_device_path {
	u8 type;
	u8 subtype;
	u8 length[2];	/* little endian, header included; not aligned */
};

enum efi_device_path_type {
	EFI_DP_HARDWARE		= 0x01,
	EFI_DP_ACPI		= 0x02,
	EFI_DP_MESSAGING	= 0x03,
	EFI_DP_MEDIA		= 0x04,
	EFI_DP_BBS		= 0x05,
	EFI_DP_END		= 0x7f,
};

enum efi_device_path_subtype {
	EFI_DP_HARDWARE_MEMORY	= 0x03,
	EFI_DP_HARDWARE_VENDOR	= 0x04,
	EFI_DP_MESSAGING_ATAPI	= 0x01,
	EFI_DP_MESSAGING_IPV4	= 0x0c,
	EFI_DP_MESSAGING_IPV6	= 0x0d,
	EFI_DP_MESSAGING_URI	= 0x18,
	EFI_DP_MESSAGING_DNS	= 0x1f,
	EFI_DP_MEDIA_VENDOR	= 0x03,
	EFI_DP_MEDIA_FILE	= 0x04,
	EFI_DP_MEDIA_RAM_DISK	= 0x09,
	EFI_DP_END_ENTIRE	= 0xff,
};

#endif
