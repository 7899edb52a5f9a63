/* SPDX-License-Identifier: Apache-2.0 */
/* Stands in for the header of that name: the registers of a processor that is a program. */
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
	PK_CR4_CET = 0x800000,
};

u64 pk_cpu_read(enum pk_cpu_register which);
u64 pk_dr_read(u32 number);
void pk_dr_write(u32 number, u64 value);

static inline u64 pk_xcr0_read(void)
{
	return 0;
}

static inline void pk_xcr0_write(u64 value)
{
	(void)value;
}

#endif
