/* SPDX-License-Identifier: Apache-2.0 */
/* Instructions that C has no words for. */
#ifndef PK_STUB_IO_H
#define PK_STUB_IO_H

#include <pykexec/types.h>

static inline u8 pk_inb(u16 port)
{
	u8 value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline void pk_outb(u16 port, u8 value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline u16 pk_inw(u16 port)
{
	u16 value;

	__asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline void pk_outw(u16 port, u16 value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static inline u32 pk_inl(u16 port)
{
	u32 value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline void pk_outl(u16 port, u32 value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline u64 pk_rdmsr(u32 msr)
{
	u32 low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return low | (u64)high << 32;
}

static inline void pk_wrmsr(u32 msr, u64 value)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

static inline u64 pk_rdtsc(void)
{
	u32 low, high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return low | (u64)high << 32;
}

struct pk_cpuid {
	u32 eax;
	u32 ebx;
	u32 ecx;
	u32 edx;
};

/* Zeroes for a leaf that the processor, or its hypervisor for those from 0x40000000, does not have. */
static inline struct pk_cpuid pk_cpuid(u32 leaf, u32 subleaf)
{
	struct pk_cpuid r;

	__asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "a"(leaf & 0xc0000000), "c"(0));
	if (leaf > r.eax)
		return (struct pk_cpuid){ 0 };
	__asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
	return r;
}

static inline u32 pk_mmio_read(u64 address)
{
	return *(volatile u32 *)address;
}

static inline void pk_mmio_write(u64 address, u32 value)
{
	*(volatile u32 *)address = value;
}

#define pk_interrupts_off() __asm__ volatile("cli" : : : "memory")
#define pk_interrupts_on() __asm__ volatile("sti" : : : "memory")

/* Long enough for every deliverable interrupt to be taken: sti shadows one instruction. */
#define pk_interrupt_window() __asm__ volatile("sti; nop; nop; nop; cli" : : : "memory")

static inline bool pk_interrupts_enabled(void)
{
	u64 flags;

	__asm__ volatile("pushfq; pop %0" : "=r"(flags));
	return flags & 0x200;
}

#endif
