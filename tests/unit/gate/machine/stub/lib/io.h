/* SPDX-License-Identifier: Apache-2.0 */
/* Stands in for the header of that name: the instructions of a processor that is a program. */
#ifndef PK_STUB_IO_H
#define PK_STUB_IO_H

#include <pykexec/types.h>

struct pk_cpuid {
	u32 eax;
	u32 ebx;
	u32 ecx;
	u32 edx;
};

struct pk_cpuid pk_cpuid(u32 leaf, u32 subleaf);
u16 pk_inw(u16 port);
void pk_outw(u16 port, u16 value);
u64 pk_rdtsc(void);
u64 pk_rdmsr(u32 msr);
void pk_wrmsr(u32 msr, u64 value);

/* Nothing answers at any port. */
static inline u8 pk_inb(u16 port)
{
	(void)port;
	return 0xff;
}

static inline void pk_outb(u16 port, u8 value)
{
	(void)port;
	(void)value;
}

bool pk_interrupts_enabled(void);
void pk_host_interrupts(bool on);

#define pk_interrupts_off() pk_host_interrupts(false)
#define pk_interrupts_on() pk_host_interrupts(true)
#define pk_interrupt_window() ((void)0)

#endif
