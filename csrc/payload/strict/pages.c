// SPDX-License-Identifier: Apache-2.0
/* Page tables and registers that are the firmware's own affair. */
#include <payload/strict/strict.h>

enum {
	LEVELS_MAX = 5,
	ENTRIES = 512,
	PRESENT = 1,
	WRITE = 2,
	USER = 4,
	LARGE = 0x80,
	CR0_WRITE_PROTECT = 0x10000,
};

#define ADDRESS_BITS 0x000ffffffffff000ULL

static void open_pages(u64 root)
{
	u32 levels = pk_cpu_read(PK_CPU_CR4) & PK_CR4_LA57 ? 5 : 4;
	u64 *tables[LEVELS_MAX] = { (u64 *)(root & ADDRESS_BITS) };
	u32 next[LEVELS_MAX] = { 0 };
	u32 depth = 0;

	for (;;) {
		u64 *entry = &tables[depth][next[depth]];

		if (next[depth]++ == ENTRIES) {
			if (!depth--)
				return;
			continue;
		}
		if (!(*entry & PRESENT))
			continue;
		*entry |= USER;
		if (depth == levels - 1 || *entry & LARGE)
			continue;
		tables[++depth] = (u64 *)(*entry & ADDRESS_BITS);
		next[depth] = 0;
	}
}

efi_status_t strict_users(u64 value)
{
	u64 cr0 = pk_cpu_read(PK_CPU_CR0);
	u64 cr3 = pk_cpu_read(PK_CPU_CR3);

	(void)value;
	/* The tables themselves may be read-only. */
	__asm__ volatile("mov %0, %%cr0" : : "r"(cr0 & ~(u64)CR0_WRITE_PROTECT));
	open_pages(cr3);
	__asm__ volatile("mov %0, %%cr0" : : "r"(cr0));
	__asm__ volatile("mov %0, %%cr3" : : "r"(cr3) : "memory");
	return EFI_SUCCESS;
}

efi_status_t strict_la57(u64 value)
{
	u64 root = UINT32_MAX;	/* CR3 is loaded by 32-bit code */
	efi_status_t status;

	(void)value;
	status = strict_bs->allocate_pages(EFI_ALLOCATE_MAX_ADDRESS, EFI_BOOT_SERVICES_DATA, 1, &root);
	if (EFI_ERROR(status))
		return status;
	strict_bs->set_mem((void *)root, PK_PAGE_SIZE, 0);
	*(u64 *)root = (pk_cpu_read(PK_CPU_CR3) & ADDRESS_BITS) | PRESENT | WRITE;
	strict_five_levels((u32)root);
	return pk_cpu_read(PK_CPU_CR4) & PK_CR4_LA57 ? EFI_SUCCESS : EFI_DEVICE_ERROR;
}

efi_status_t strict_cr4(u64 value)
{
	__asm__ volatile("mov %0, %%cr4" : : "r"(pk_cpu_read(PK_CPU_CR4) | value) : "memory");
	return EFI_SUCCESS;
}

efi_status_t strict_dr0(u64 value)
{
	pk_dr_write(0, value);
	return EFI_SUCCESS;
}
