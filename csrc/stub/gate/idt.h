/* SPDX-License-Identifier: Apache-2.0 */
/* Interrupt descriptor tables of our own (SDM 3A, 7.14). */
#ifndef PK_STUB_IDT_H
#define PK_STUB_IDT_H

#include <pykexec/types.h>

enum {
	PK_IDT_ENTRIES = 256,
	PK_IDT_INTERRUPT_GATE = 0x8e,
	PK_VECTOR_NMI = 2,
	PK_VECTOR_DOUBLE_FAULT = 8,
	PK_VECTOR_GENERAL_PROTECTION = 13,
	PK_VECTOR_MACHINE_CHECK = 18,
};

struct pk_idt_gate {
	u16 offset_low;
	u16 selector;
	u8 ist;
	u8 type;
	u16 offset_middle;
	u32 offset_high;
	u32 reserved;
};

/* What lidt takes and sidt gives: limit, base, not naturally aligned. */
struct pk_idt_register {
	u8 bytes[10];
};

static inline struct pk_idt_gate pk_idt_gate(void (*handler)(void), u16 selector)
{
	u64 address = (u64)handler;

	return (struct pk_idt_gate){
		.offset_low = (u16)address,
		.selector = selector,
		.type = PK_IDT_INTERRUPT_GATE,
		.offset_middle = (u16)(address >> 16),
		.offset_high = (u32)(address >> 32),
	};
}

/* Of a whole table. */
static inline struct pk_idt_register pk_idt_register(const struct pk_idt_gate *table)
{
	u16 limit = PK_IDT_ENTRIES * sizeof(*table) - 1;
	struct pk_idt_register idtr;
	u64 base = (u64)table;

	__builtin_memcpy(idtr.bytes, &limit, 2);
	__builtin_memcpy(idtr.bytes + 2, &base, 8);
	return idtr;
}

#endif
