// SPDX-License-Identifier: Apache-2.0
/*
 * A table of interrupt descriptors for each half of a switch, since a gate names a code segment. No
 * stack is switched: TR stays Linux', whose stacks are not mapped in the firmware's world, so that a
 * gate of the firmware's must not name one either.
 */
#include <stub/gate/faults.h>
#include <stub/gate/idt.h>
#include <stub/lib/string.h>
#include <stub/lib/stub.h>
#include <stub/lib/test.h>

/* faults.S */
void pk_fault_nmi(void);
void pk_fault_double(void);
void pk_fault_machine_check(void);
extern u64 pk_nr_nmis;

static struct pk_idt_gate in_linux[PK_IDT_ENTRIES] __attribute__((aligned(16)));
static struct pk_idt_gate in_firmware[PK_IDT_ENTRIES] __attribute__((aligned(16)));
static struct pk_idt_register of_linux;

static void fill(struct pk_idt_gate *table, u16 selector)
{
	table[PK_VECTOR_NMI] = pk_idt_gate(pk_fault_nmi, selector);
	table[PK_VECTOR_DOUBLE_FAULT] = pk_idt_gate(pk_fault_double, selector);
	table[PK_VECTOR_MACHINE_CHECK] = pk_idt_gate(pk_fault_machine_check, selector);
}

void pk_faults_guard(struct pk_cpu_context *firmware)
{
	struct pk_idt_register ours = pk_idt_register(in_linux);
	u16 cs;

	__asm__ volatile("mov %%cs, %0" : "=r"(cs));
	fill(in_linux, cs);
	fill(in_firmware, firmware->cs);
	__asm__ volatile("sidt %0; lidt %1" : "=m"(of_linux) : "m"(ours) : "memory");
	ours = pk_idt_register(in_firmware);
	if (pk_test_guards_firmware())
		memcpy(firmware->idtr, &ours, sizeof(ours));
}

void pk_faults_follow(bool anew)
{
	static bool has_followed;
	const struct pk_idt_gate *theirs;
	u16 limit;
	u32 nr;

	if (has_followed && !anew)
		return;
	has_followed = true;
	memcpy(&limit, pk_handoff.cpu.idtr, sizeof(limit));
	memcpy(&theirs, pk_handoff.cpu.idtr + 2, sizeof(theirs));
	nr = (limit + 1u) / sizeof(*theirs);
	for (u32 vector = 0; vector < nr && vector < PK_IDT_ENTRIES; vector++) {
		if (vector == PK_VECTOR_NMI || vector == PK_VECTOR_DOUBLE_FAULT || vector == PK_VECTOR_MACHINE_CHECK)
			continue;
		in_firmware[vector] = theirs[vector];
		in_firmware[vector].ist = 0;
	}
}

void pk_faults_release(void)
{
	__asm__ volatile("lidt %0" : : "m"(of_linux));
}

void pk_faults_tell(void)
{
	if (!pk_nr_nmis)
		return;
	/* However many: an NMI that comes while one is handled is remembered once, too. */
	pk_nr_nmis = 0;
	__asm__ volatile("int $2" : : : "memory");
}
