// SPDX-License-Identifier: Apache-2.0
/*
 * The stub's table of machine state on a processor that is a program. Argument: vendor. The
 * firmware leaves every register zero; Linux puts another value into those below. Prints of each:
 * its name, then its value in the firmware's world by a lean switch, back in Linux', by a full
 * switch, back again, and when Linux has ended. An MSR that the processor does not announce ends
 * the program, as it would end the machine.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stub/gate/hardware.h>
#include <stub/gate/state.h>
#include <stub/lib/cpu.h>
#include <stub/lib/io.h>

enum vendor { INTEL, AMD };
enum kind { NOTHING, MSR, DEBUG, LAPIC };
enum { NR_POINTS = 5 };

#define COMMON 1, 1
#define INTEL_ONLY 1, 0
#define AMD_ONLY 0, 1

/* What Linux sets, or root by perf, a debugger, a split lock. */
static struct reg {
	const char *name;
	enum kind kind;
	u32 which;
	bool of[2];
	u64 linux_value;
	u64 value;
	u64 seen[NR_POINTS];
} registers[] = {
	{ "rtit_ctl", MSR, 0x570, { INTEL_ONLY }, 1, 0, { 0 } },
	{ "perf_global_ctrl", MSR, 0x38f, { INTEL_ONLY }, 7, 0, { 0 } },
	{ "test_ctrl", MSR, 0x33, { INTEL_ONLY }, 1 << 29, 0, { 0 } },
	{ "debugctl", MSR, 0x1d9, { COMMON }, 4, 0, { 0 } },
	{ "ibs_fetch_ctl", MSR, 0xc0011030, { AMD_ONLY }, 1ULL << 48, 0, { 0 } },
	{ "ibs_op_ctl", MSR, 0xc0011033, { AMD_ONLY }, 1 << 17, 0, { 0 } },
	{ "dr0", DEBUG, 0, { COMMON }, 0x1000, 0, { 0 } },
	{ "dr3", DEBUG, 3, { COMMON }, 0x4000, 0, { 0 } },
	{ "dr6", DEBUG, 6, { COMMON }, 1, 0, { 0 } },
	{ "dr7", DEBUG, 7, { COMMON }, 0x401, 0, { 0 } },
	{ "lvt_pmc", LAPIC, PK_LAPIC_LVT_PMC, { COMMON }, 0x400, 0, { 0 } },
	/* Nothing here is of interest, but everybody has them. */
	{ NULL, MSR, PK_MSR_APIC_BASE, { COMMON }, 0, 0, { 0 } },
	{ NULL, MSR, 0xc0000080, { COMMON }, 0, 0, { 0 } },
	{ NULL, MSR, 0x277, { COMMON }, 0, 0, { 0 } },
	{ NULL, MSR, 0xc0000100, { COMMON }, 0, 0, { 0 } },
	{ NULL, MSR, 0xc0000101, { COMMON }, 0, 0, { 0 } },
	{ NULL, MSR, 0xc0000102, { COMMON }, 0, 0, { 0 } },
	{ NULL, MSR, 0xc0000081, { COMMON }, 0, 0, { 0 } },
	{ NULL, MSR, 0xc0000082, { COMMON }, 0, 0, { 0 } },
	{ NULL, MSR, 0xc0000083, { COMMON }, 0, 0, { 0 } },
	{ NULL, MSR, 0xc0000084, { COMMON }, 0, 0, { 0 } },
	{ NULL, MSR, 0x1a0, { INTEL_ONLY }, 0, 0, { 0 } },
	{ NULL, MSR, 0x3a, { INTEL_ONLY }, 0, 0, { 0 } },
	{ NULL, MSR, 0xcf, { INTEL_ONLY }, 1 << 5, 1 << 5, { 0 } },
};

enum { NR_REGISTERS = sizeof(registers) / sizeof(registers[0]) };

static enum vendor vendor;

static struct reg *find(enum kind kind, u32 which)
{
	for (u32 i = 0; i < NR_REGISTERS; i++)
		if (registers[i].kind == kind && registers[i].which == which && registers[i].of[vendor])
			return &registers[i];
	if (kind == MSR) {
		fprintf(stderr, "general protection fault: MSR %x\n", which);
		exit(1);
	}
	return NULL;
}

static u64 get(enum kind kind, u32 which)
{
	struct reg *reg = find(kind, which);

	return reg ? reg->value : 0;
}

static void set(enum kind kind, u32 which, u64 value)
{
	struct reg *reg = find(kind, which);

	if (reg)
		reg->value = value;
}

u64 pk_rdmsr(u32 msr) { return get(MSR, msr); }
void pk_wrmsr(u32 msr, u64 value) { set(MSR, msr, value); }
u64 pk_dr_read(u32 number) { return get(DEBUG, number); }
void pk_dr_write(u32 number, u64 value) { set(DEBUG, number, value); }
u32 pk_lapic_read(u32 offset) { return (u32)get(LAPIC, offset); }
void pk_lapic_write(u32 offset, u32 value) { set(LAPIC, offset, value); }
bool pk_lapic_has(u32 offset) { return offset == PK_LAPIC_LVT_PMC; }
void pk_lapic_set_mode(u64 apic_base) { (void)apic_base; }

u32 pk_ioapic_read(u32 index) { return index & 0; }
void pk_ioapic_write(u32 index, u32 value) { (void)index; (void)value; }
u32 pk_ioapic_pins(void) { return 0; }
void pk_ioapic_mask_all(u32 *nr_open) { *nr_open = 0; }
u32 pk_pci_read(u32 bdf, u32 offset) { return ~0u | bdf | offset; }
void pk_pci_write(u32 bdf, u32 offset, u32 value) { (void)bdf; (void)offset; (void)value; }
bool pk_interrupt_latched(void) { return false; }

u32 pk_drain_interrupts(u32 *ret_eois)
{
	*ret_eois = 0;
	return 0;
}

struct pk_cpuid pk_cpuid(u32 leaf, u32 subleaf)
{
	(void)subleaf;
	switch (leaf) {
	case 0:
		return (struct pk_cpuid){ .ebx = vendor == INTEL ? 0x756e6547 : 0x68747541 };
	case 1:
		return (struct pk_cpuid){ .ecx = vendor == INTEL ? 1 << 5 : 0 };
	case 7:
		return vendor == INTEL ? (struct pk_cpuid){ .ebx = 1 << 25, .edx = 1 << 30 } : (struct pk_cpuid){ 0 };
	case 0xa:
		return (struct pk_cpuid){ .eax = vendor == INTEL ? 5 : 0 };
	case 0x80000001:
		return (struct pk_cpuid){ .ecx = vendor == AMD ? 1 << 10 : 0 };
	default:
		return (struct pk_cpuid){ 0 };
	}
}

static void look(u32 point)
{
	for (u32 i = 0; i < NR_REGISTERS; i++)
		registers[i].seen[point] = registers[i].value;
}

int main(int argc, char **argv)
{
	u32 drained, eois;

	vendor = argc == 2 && !strcmp(argv[1], "intel") ? INTEL : AMD;
	pk_state_save();
	for (u32 i = 0; i < NR_REGISTERS; i++)
		registers[i].value = registers[i].linux_value;

	pk_state_enter_lean();
	look(0);
	pk_state_leave_lean();
	look(1);
	pk_state_leave_linux(false, &drained, &eois);
	pk_state_enter_firmware();
	look(2);
	pk_state_leave_firmware();
	pk_state_enter_linux();
	look(3);
	pk_state_restore();
	look(4);
	for (u32 i = 0; i < NR_REGISTERS; i++) {
		if (!registers[i].name || !registers[i].of[vendor])
			continue;
		printf("%s", registers[i].name);
		for (u32 point = 0; point < NR_POINTS; point++)
			printf(" %llx", (unsigned long long)registers[i].seen[point]);
		printf("\n");
	}
	return 0;
}
