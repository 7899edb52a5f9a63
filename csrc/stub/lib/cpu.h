/* SPDX-License-Identifier: Apache-2.0 */
/* The processor's own registers that are no MSRs, one by one. */
#ifndef PK_STUB_CPU_H
#define PK_STUB_CPU_H

#include <pykexec/types.h>

enum pk_cpu_register {
	PK_CPU_CR0, PK_CPU_CR3, PK_CPU_CR4, PK_CPU_CR8,
	PK_CPU_GDT_BASE, PK_CPU_GDT_LIMIT, PK_CPU_IDT_BASE, PK_CPU_IDT_LIMIT,
	PK_CPU_SEL_CS, PK_CPU_SEL_DS, PK_CPU_SEL_ES, PK_CPU_SEL_FS, PK_CPU_SEL_GS, PK_CPU_SEL_SS,
	PK_CPU_SEL_TR, PK_CPU_SEL_LDT,
	PK_CPU_FPU_CW, PK_CPU_FPU_MXCSR,
};

enum {
	PK_CR4_LA57 = 0x1000,
	PK_CR4_OSXSAVE = 0x40000,
	PK_CR4_CET = 0x800000,
};

static inline u64 pk_cpu_read(enum pk_cpu_register which)
{
	struct { u8 bytes[10]; } table;
	u64 value = 0;
	u32 mxcsr;
	u16 fcw;

	switch (which) {
	case PK_CPU_CR0: __asm__ volatile("mov %%cr0, %0" : "=r"(value)); break;
	case PK_CPU_CR3: __asm__ volatile("mov %%cr3, %0" : "=r"(value)); break;
	case PK_CPU_CR4: __asm__ volatile("mov %%cr4, %0" : "=r"(value)); break;
	case PK_CPU_CR8: __asm__ volatile("mov %%cr8, %0" : "=r"(value)); break;
	case PK_CPU_SEL_CS: __asm__ volatile("mov %%cs, %0" : "=r"(value)); break;
	case PK_CPU_SEL_DS: __asm__ volatile("mov %%ds, %0" : "=r"(value)); break;
	case PK_CPU_SEL_ES: __asm__ volatile("mov %%es, %0" : "=r"(value)); break;
	case PK_CPU_SEL_FS: __asm__ volatile("mov %%fs, %0" : "=r"(value)); break;
	case PK_CPU_SEL_GS: __asm__ volatile("mov %%gs, %0" : "=r"(value)); break;
	case PK_CPU_SEL_SS: __asm__ volatile("mov %%ss, %0" : "=r"(value)); break;
	case PK_CPU_SEL_TR: __asm__ volatile("str %0" : "=r"(value)); break;
	case PK_CPU_SEL_LDT: __asm__ volatile("sldt %0" : "=r"(value)); break;
	case PK_CPU_FPU_CW: __asm__ volatile("fnstcw %0" : "=m"(fcw)); value = fcw; break;
	case PK_CPU_FPU_MXCSR: __asm__ volatile("stmxcsr %0" : "=m"(mxcsr)); value = mxcsr; break;
	case PK_CPU_GDT_BASE:
	case PK_CPU_GDT_LIMIT: __asm__ volatile("sgdt %0" : "=m"(table)); break;
	case PK_CPU_IDT_BASE:
	case PK_CPU_IDT_LIMIT: __asm__ volatile("sidt %0" : "=m"(table)); break;
	}
	if (which == PK_CPU_GDT_BASE || which == PK_CPU_IDT_BASE)
		__builtin_memcpy(&value, table.bytes + 2, 8);
	if (which == PK_CPU_GDT_LIMIT || which == PK_CPU_IDT_LIMIT)
		__builtin_memcpy(&value, table.bytes, 2);
	return value;
}

/* number: 0 to 3, 6 or 7. */
static inline u64 pk_dr_read(u32 number)
{
	u64 value = 0;

	switch (number) {
	case 0: __asm__ volatile("mov %%dr0, %0" : "=r"(value)); break;
	case 1: __asm__ volatile("mov %%dr1, %0" : "=r"(value)); break;
	case 2: __asm__ volatile("mov %%dr2, %0" : "=r"(value)); break;
	case 3: __asm__ volatile("mov %%dr3, %0" : "=r"(value)); break;
	case 6: __asm__ volatile("mov %%dr6, %0" : "=r"(value)); break;
	case 7: __asm__ volatile("mov %%dr7, %0" : "=r"(value)); break;
	}
	return value;
}

static inline void pk_dr_write(u32 number, u64 value)
{
	switch (number) {
	case 0: __asm__ volatile("mov %0, %%dr0" : : "r"(value)); break;
	case 1: __asm__ volatile("mov %0, %%dr1" : : "r"(value)); break;
	case 2: __asm__ volatile("mov %0, %%dr2" : : "r"(value)); break;
	case 3: __asm__ volatile("mov %0, %%dr3" : : "r"(value)); break;
	case 6: __asm__ volatile("mov %0, %%dr6" : : "r"(value)); break;
	case 7: __asm__ volatile("mov %0, %%dr7" : : "r"(value)); break;
	}
}

/* XCR0 is only within reach while CR4.OSXSAVE is set, which the firmware need not have done. */
static inline u64 pk_xcr0_read(void)
{
	u64 cr4 = pk_cpu_read(PK_CPU_CR4);
	u32 low, high;

	__asm__ volatile("mov %0, %%cr4" : : "r"(cr4 | PK_CR4_OSXSAVE));
	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	__asm__ volatile("mov %0, %%cr4" : : "r"(cr4));
	return low | (u64)high << 32;
}

static inline void pk_xcr0_write(u64 value)
{
	u64 cr4 = pk_cpu_read(PK_CPU_CR4);

	__asm__ volatile("mov %0, %%cr4" : : "r"(cr4 | PK_CR4_OSXSAVE));
	__asm__ volatile("xsetbv" : : "a"((u32)value), "d"((u32)(value >> 32)), "c"(0));
	__asm__ volatile("mov %0, %%cr4" : : "r"(cr4));
}

#endif
