// SPDX-License-Identifier: Apache-2.0
/*
 * The stub's table of machine state on a processor that is a program. Arguments: its vendor, and
 * what it has: all of the registers below; "no-hwp" all but one, which faults until another is set;
 * "bare" those that everyone has; "crowded" these, and as many PCI functions as can be. The firmware
 * leaves in each the one value, Linux the other. Prints of each: its name, both values, then what is
 * in it in the firmware's world by a lean switch, back in Linux', by a full switch, back again, and
 * when Linux has ended. With two numbers after the vendor: what the report has of control registers
 * of the firmware's in which these bits of CR3 and CR4 are another's. An MSR that the processor does
 * not announce ends the program, as it would end the machine; one of some models may be tried.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pykexec/abi.h>
#include <stub/gate/bmc.h>
#include <stub/gate/hardware.h>
#include <stub/gate/state.h>
#include <stub/gate/tco.h>
#include <stub/gate/watchdog.h>
#include <stub/gate/wdat.h>
#include <stub/gate/wdrt.h>
#include <stub/lib/cpu.h>
#include <stub/lib/io.h>

enum vendor { INTEL, AMD };
enum kind { NOTHING, MSR, DEBUG, LAPIC };
enum presence { IS_ANNOUNCED, IS_OF_A_MODEL, IS_ALWAYS };
enum { NR_POINTS = 5, HWP_REQUEST = 0x774, PM_ENABLE = 0x770 };
enum { FIRMWARE_CR3 = 0x7fc01000, FIRMWARE_CR4 = 0x668 };

/* A bit for each vendor. */
enum { INTEL_ONLY = 1 << INTEL, AMD_ONLY = 1 << AMD, COMMON = INTEL_ONLY | AMD_ONLY };

/* A register, and nr_more behind it: who has it, the firmware's value, Linux'. */
struct reg {
	const char *name;	/* NULL: of no interest here */
	enum kind kind;
	enum presence presence;
	u32 which;
	u32 nr_more;
	u32 of;
	u64 firmware_value;
	u64 linux_value;
	u64 value;
	u64 seen[NR_POINTS];
};

#define REG(name, kind, presence, which, of, firmware, linux_value, nr_more) \
	{ name, kind, presence, which, nr_more, of, firmware, linux_value, 0, { 0 } }
#define ANNOUNCED(name, which, of, firmware, linux_value, nr_more) \
	REG(name, MSR, IS_ANNOUNCED, which, of, firmware, linux_value, nr_more)
#define MODEL(name, which, of, firmware, linux_value, nr_more) \
	REG(name, MSR, IS_OF_A_MODEL, which, of, firmware, linux_value, nr_more)
#define ALWAYS(name, which, of, firmware, linux_value, nr_more) \
	REG(name, MSR, IS_ALWAYS, which, of, firmware, linux_value, nr_more)
#define CONSTANT(which, presence, of, value, nr_more) REG(NULL, MSR, presence, which, of, value, value, nr_more)

/* What Linux sets, or root by perf, a debugger, a split lock. */
static struct reg registers[] = {
	ANNOUNCED("rtit_ctl", 0x570, INTEL_ONLY, 0, 1, 0),
	ANNOUNCED("hw_feedback_config", 0x17d1, INTEL_ONLY, 0, 1, 0),
	ANNOUNCED("hw_feedback_ptr", 0x17d0, INTEL_ONLY, 0, 0x10001, 0),
	ANNOUNCED("pebs_enable", 0x3f1, INTEL_ONLY, 0, 1, 0),
	ANNOUNCED("ds_area", 0x600, INTEL_ONLY, 0, 0x1000, 0),
	ANNOUNCED("kvm.system_time", 0x4b564d01, COMMON, 0, 0x2001, 0),
	ANNOUNCED("kvm.async_pf", 0x4b564d02, COMMON, 0, 0x3001, 0),
	ANNOUNCED("kvm.steal_time", 0x4b564d03, COMMON, 0, 0x4001, 0),
	ANNOUNCED("kvm.eoi", 0x4b564d04, COMMON, 0, 0x5001, 0),
	ANNOUNCED("sysenter_eip", 0x176, COMMON, 0, 0x1000, 0),
	ANNOUNCED("tsc_aux", 0xc0000103, COMMON, 0, 3, 0),
	ANNOUNCED("tsc_adjust", 0x3b, COMMON, 0, 9, 0),
	ANNOUNCED("mtrr_def_type", 0x2ff, COMMON, 0xc06, 6, 0),
	ANNOUNCED("mtrr.fixed", 0x250, COMMON, 0, 6, 0),
	ANNOUNCED("mtrr.variable", 0x200, COMMON, 0, 6, 3),
	ANNOUNCED("test_ctrl", 0x33, INTEL_ONLY, 0, 1 << 29, 0),
	ANNOUNCED("perf_global_ctrl", 0x38f, INTEL_ONLY, 0, 7, 0),
	ANNOUNCED("feat_ctl", 0x3a, INTEL_ONLY, 0, 5, 0),
	ANNOUNCED("ibs_fetch_ctl", 0xc0011030, AMD_ONLY, 0, 1ULL << 48, 0),
	ANNOUNCED("ibs_op_ctl", 0xc0011033, AMD_ONLY, 0, 1 << 17, 0),
	ANNOUNCED("spec_ctrl", 0x48, COMMON, 0, 1, 0),
	ANNOUNCED("virt_spec_ctrl", 0xc001011f, AMD_ONLY, 0, 4, 0),
	ANNOUNCED("umwait_control", 0xe1, INTEL_ONLY, 0, 100000, 0),
	ANNOUNCED("tsx_force_abort", 0x10f, INTEL_ONLY, 0, 1, 0),
	ANNOUNCED("tsx_ctrl", 0x122, INTEL_ONLY, 0, 3, 0),
	ANNOUNCED("mcu_opt_ctrl", 0x123, INTEL_ONLY, 0, 1, 0),
	ANNOUNCED("energy_perf_bias", 0x1b0, INTEL_ONLY, 0, 6, 0),
	ANNOUNCED("therm_interrupt", 0x19b, INTEL_ONLY, 0, 3, 0),
	ANNOUNCED("pkg_therm_interrupt", 0x1b2, INTEL_ONLY, 0, 3, 0),
	ANNOUNCED("pm_enable", 0x770, INTEL_ONLY, 1, 3, 0),
	ANNOUNCED("hwp_request", 0x774, INTEL_ONLY, 0, 0x80ff01, 0),
	ANNOUNCED("pqr_assoc", 0xc8f, INTEL_ONLY, 0, 1, 0),
	ANNOUNCED("l3_mask", 0xc90, INTEL_ONLY, 3, 0x7ff, 15),
	ANNOUNCED("l2_mask", 0xd10, INTEL_ONLY, 3, 0xff, 7),
	ANNOUNCED("mba_throttling", 0xd50, INTEL_ONLY, 10, 0, 7),
	ANNOUNCED("cppc_enable", 0xc00102b1, AMD_ONLY, 0, 1, 0),
	ANNOUNCED("cppc_request", 0xc00102b3, AMD_ONLY, 0, 0xff, 0),
	ANNOUNCED("xfd", 0x1c4, INTEL_ONLY, 0, 1 << 18, 0),
	ANNOUNCED("pkrs", 0x6e1, INTEL_ONLY, 0, 4, 0),
	ANNOUNCED("xss", 0xda0, COMMON, 0, 1 << 8, 0),
	ANNOUNCED("u_cet", 0x6a0, COMMON, 0, 1, 0),
	ANNOUNCED("s_cet", 0x6a2, COMMON, 0, 4, 0),
	ANNOUNCED("pl3_ssp", 0x6a7, COMMON, 0, 0x7ff0, 0),
	MODEL("misc_features", 0x140, INTEL_ONLY, 0, 1, 0),
	MODEL("power_ctl", 0x1fc, INTEL_ONLY, 2, 0, 0),
	MODEL("pkg_cst_config", 0xe2, INTEL_ONLY, 1 << 25, 0, 0),
	MODEL("hwcr", 0xc0010015, AMD_ONLY, 0, 1 << 30, 0),
	MODEL("ls_cfg", 0xc0011020, AMD_ONLY, 0, 1 << 10, 0),
	MODEL("de_cfg", 0xc0011029, AMD_ONLY, 0, 2, 0),
	MODEL("syscfg", 0xc0010010, AMD_ONLY, 0, 1 << 23, 0),
	ALWAYS("debugctl", 0x1d9, COMMON, 0, 4, 0),
	ALWAYS("misc_enable", 0x1a0, INTEL_ONLY, 0x850081, 0x850080, 0),
	REG("dr0", DEBUG, IS_ALWAYS, 0, COMMON, 0, 0x1000, 0),
	REG("dr3", DEBUG, IS_ALWAYS, 3, COMMON, 0, 0x4000, 0),
	REG("dr6", DEBUG, IS_ALWAYS, 6, COMMON, 0, 1, 0),
	REG("dr7", DEBUG, IS_ALWAYS, 7, COMMON, 0, 0x401, 0),
	REG("lvt_pmc", LAPIC, IS_ALWAYS, PK_LAPIC_LVT_PMC, COMMON, 0, 0x400, 0),
	CONSTANT(PK_MSR_APIC_BASE, IS_ALWAYS, COMMON, 0, 0),
	CONSTANT(0xcf, IS_ANNOUNCED, INTEL_ONLY, 1 << 5, 0),	/* split locks can trap */
	CONSTANT(0xfe, IS_ANNOUNCED, COMMON, 0x102, 0),		/* two variable MTRRs and the fixed ones */
	CONSTANT(0x10a, IS_ANNOUNCED, INTEL_ONLY, 1 << 7, 0),	/* TSX_CTRL */
	CONSTANT(0x174, IS_ANNOUNCED, COMMON, 0, 1),
	CONSTANT(0x258, IS_ANNOUNCED, COMMON, 0, 1),
	CONSTANT(0x268, IS_ANNOUNCED, COMMON, 0, 7),
	CONSTANT(0x277, IS_ALWAYS, COMMON, 0, 0),
	CONSTANT(0xc0000080, IS_ALWAYS, COMMON, 0, 4),
	CONSTANT(0xc0000100, IS_ALWAYS, COMMON, 0, 2),
};

enum { NR_REGISTERS = sizeof(registers) / sizeof(registers[0]) };

static enum vendor vendor;
static bool is_bare, is_crowded, has_no_hwp;

static __attribute__((noreturn)) void fault(u32 msr)
{
	fprintf(stderr, "general protection fault: MSR %x\n", msr);
	exit(1);
}

/* Present or not. */
static struct reg *find(enum kind kind, u32 which)
{
	for (u32 i = 0; i < NR_REGISTERS; i++) {
		struct reg *reg = &registers[i];

		if (reg->kind == kind && which - reg->which <= reg->nr_more && reg->of >> vendor & 1)
			return reg;
	}
	return NULL;
}

static bool is_there(const struct reg *reg)
{
	if (has_no_hwp && reg && reg->which == HWP_REQUEST)
		return false;
	return reg && (reg->presence == IS_ALWAYS || !is_bare);
}

/* To try is right where nothing is announced. */
bool pk_msr_exists(u32 msr)
{
	struct reg *reg = find(MSR, msr);

	if (!is_there(reg) && !(reg && reg->presence == IS_OF_A_MODEL))
		fault(msr);
	return is_there(reg);
}

static u64 get(enum kind kind, u32 which)
{
	struct reg *reg = find(kind, which);

	if (kind == MSR && !is_there(reg))
		fault(which);
	return reg ? reg->value : 0;
}

static void set(enum kind kind, u32 which, u64 value)
{
	struct reg *reg = find(kind, which);

	if (kind == MSR && !is_there(reg))
		fault(which);
	if (reg)
		reg->value = value;
}

u64 pk_rdmsr(u32 msr) { return get(MSR, msr); }
void pk_wrmsr(u32 msr, u64 value) { set(MSR, msr, value); }
/* gate.S switches them; what it would leave of Linux' in the firmware's world is among the arguments. */
static u64 cr3 = FIRMWARE_CR3, cr4 = FIRMWARE_CR4;

u64 pk_cpu_read(enum pk_cpu_register which)
{
	return which == PK_CPU_CR3 ? cr3 : which == PK_CPU_CR4 ? cr4 : which;
}

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
/* One function a device, or nothing at all. */
u32 pk_pci_read(u32 bdf, u32 offset) { return is_crowded && !(bdf & 7) ? 0 & offset : ~0u; }
void pk_pci_write(u32 bdf, u32 offset, u32 value) { (void)bdf; (void)offset; (void)value; }
bool pk_interrupt_latched(void) { return false; }
void pk_host_interrupts(bool on) { (void)on; }

/* There is no watchdog (tco.c, watchdogs.c). */
#define NO_WATCHDOG(kind) \
	bool pk_##kind##_armed(void) { return false; } \
	u64 pk_##kind##_read(u32 which, u32 index) { return which & index & 0; } \
	void pk_##kind##_write(u32 which, u32 index, u64 value) { (void)which; (void)index; (void)value; }
NO_WATCHDOG(bmc)
NO_WATCHDOG(tco)
NO_WATCHDOG(wdat)
NO_WATCHDOG(wdrt)
void pk_watchdogs_stop(void) {}
void pk_watchdogs_halt(void) {}
void pk_watchdogs_run(void) {}

/* The firmware's tick is another program's (tick.c). */
void pk_tick_stop(void) {}
void pk_tick_start(void) {}

u32 pk_drain_interrupts(u32 *ret_eois)
{
	*ret_eois = 0;
	return 0;
}

void pk_print(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
}

/* Each bit that comes with a register, and what says how many. */
static const struct {
	u32 leaf;
	u32 subleaf;
	u32 of;
	struct pk_cpuid is;
} announced[] = {
	{ 1, 0, INTEL_ONLY, { .ecx = 1 << 5 | 1u << 31, .edx = 1 << 11 | 1 << 12 | 1 << 21 | 1 << 22 } },
	{ 1, 0, AMD_ONLY, { .ecx = 1u << 31, .edx = 1 << 11 | 1 << 12 } },
	{ 6, 0, INTEL_ONLY, { .eax = 1 << 6 | 1 << 7 | 1 << 19, .ecx = 1 << 3 } },
	{ 7, 0, INTEL_ONLY, { .ebx = 1 << 1 | 1 << 12 | 1 << 15 | 1 << 25, .ecx = 1 << 5 | 1 << 7 | 1u << 31,
			      .edx = 1 << 9 | 1 << 13 | 1 << 20 | 1 << 26 | 1 << 29 | 1 << 30 } },
	{ 7, 0, AMD_ONLY, { .ebx = 1 << 1, .ecx = 1 << 7 } },
	{ 0xa, 0, INTEL_ONLY, { .eax = 5 } },
	{ 0xd, 1, INTEL_ONLY, { .eax = 1 << 3 | 1 << 4 } },
	{ 0xd, 1, AMD_ONLY, { .eax = 1 << 3 } },
	{ 0x10, 0, INTEL_ONLY, { .ebx = 1 << 1 | 1 << 2 | 1 << 3 } },
	{ 0x10, 1, INTEL_ONLY, { .edx = 15 } },
	{ 0x10, 2, INTEL_ONLY, { .edx = 7 } },
	{ 0x10, 3, INTEL_ONLY, { .edx = 7 } },
	{ 0x40000000, 0, COMMON, { 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d } },
	{ 0x40000001, 0, COMMON, { .eax = 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 } },
	{ 0x80000001, 0, INTEL_ONLY, { .edx = 1 << 27 } },
	{ 0x80000001, 0, AMD_ONLY, { .ecx = 1 << 10, .edx = 1 << 27 } },
	{ 0x80000008, 0, AMD_ONLY, { .ebx = 1 << 14 | 1 << 25 | 1 << 27 } },
};

struct pk_cpuid pk_cpuid(u32 leaf, u32 subleaf)
{
	if (!leaf)
		return (struct pk_cpuid){ .ebx = vendor == INTEL ? 0x756e6547 : 0x68747541 };
	for (u32 i = 0; i < sizeof(announced) / sizeof(announced[0]) && !is_bare; i++)
		if (announced[i].leaf == leaf && announced[i].subleaf == subleaf && announced[i].of >> vendor & 1)
			return announced[i].is;
	return (struct pk_cpuid){ 0 };
}

static void look(u32 point)
{
	for (u32 i = 0; i < NR_REGISTERS; i++)
		registers[i].seen[point] = registers[i].value;
}

/* Control registers as the report has them, with these bits set in the firmware's world. */
static int report(const char *cr3_bits, const char *cr4_bits)
{
	static struct pk_state_entry entries[PK_STATE_MAX];
	struct pk_call call = { .answer = entries, .capacity = sizeof(entries) };

	is_bare = true;
	pk_state_save();
	cr3 |= strtoull(cr3_bits, NULL, 16);
	cr4 |= strtoull(cr4_bits, NULL, 16);
	if (pk_state_report(&call))
		return 1;
	for (const struct pk_state_entry *entry = entries; entry->name[0]; entry++)
		if (entry->flags & PK_STATE_GATE && entry->before != entry->during)
			printf("%s %llx %llx\n", entry->name, (unsigned long long)entry->before,
			       (unsigned long long)entry->during);
	return 0;
}

int main(int argc, char **argv)
{
	u32 drained, eois;

	if (argc == 4)
		return report(argv[2], argv[3]);
	if (argc != 3)
		return 2;
	vendor = strcmp(argv[1], "intel") ? AMD : INTEL;
	is_crowded = !strcmp(argv[2], "crowded");
	is_bare = is_crowded || !strcmp(argv[2], "bare");
	has_no_hwp = !strcmp(argv[2], "no-hwp");
	if (has_no_hwp)
		find(MSR, PM_ENABLE)->firmware_value = 0;
	for (u32 i = 0; i < NR_REGISTERS; i++)
		registers[i].value = registers[i].firmware_value;
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
		const struct reg *reg = &registers[i];

		if (!reg->name || !(reg->of >> vendor & 1) || !is_there(reg))
			continue;
		printf("%s %llx %llx", reg->name, (unsigned long long)reg->firmware_value,
		       (unsigned long long)reg->linux_value);
		for (u32 point = 0; point < NR_POINTS; point++)
			printf(" %llx", (unsigned long long)reg->seen[point]);
		printf("\n");
	}
	return 0;
}
