// SPDX-License-Identifier: Apache-2.0
/* The table of machine state that Linux may have changed; adding an item is one line at its end. */
#include <pykexec/abi.h>
#include <stub/gate/announced.h>
#include <stub/gate/bmc.h>
#include <stub/gate/hardware.h>
#include <stub/gate/state_items.h>
#include <stub/gate/tco.h>
#include <stub/gate/wdat.h>
#include <stub/gate/wdrt.h>
#include <stub/lib/console.h>
#include <stub/lib/cpu.h>
#include <stub/lib/io.h>
#include <stub/lib/test.h>

enum {
	MSR_TEST_CTRL = 0x33,
	MSR_FEAT_CTL = 0x3a,
	MSR_TSC_ADJUST = 0x3b,
	MSR_UMWAIT_CONTROL = 0xe1,
	MSR_PKG_CST_CONFIG = 0xe2,
	MSR_TSX_FORCE_ABORT = 0x10f,
	MSR_TSX_CTRL = 0x122,
	MSR_MCU_OPT_CTRL = 0x123,
	MSR_MISC_FEATURES_ENABLES = 0x140,
	MSR_THERM_INTERRUPT = 0x19b,
	MSR_ENERGY_PERF_BIAS = 0x1b0,
	MSR_PACKAGE_THERM_INTERRUPT = 0x1b2,
	MSR_XFD = 0x1c4,
	MSR_POWER_CTL = 0x1fc,
	MSR_MTRR_VARIABLE = 0x200,
	MSR_PEBS_ENABLE = 0x3f1,
	MSR_RTIT_CTL = 0x570,
	MSR_DS_AREA = 0x600,
	MSR_PKRS = 0x6e1,
	MSR_HWP_REQUEST = 0x774,
	MSR_X2APIC_ID = 0x802,
	MSR_PQR_ASSOC = 0xc8f,
	MSR_L3_MASKS = 0xc90,
	MSR_L2_MASKS = 0xd10,
	MSR_MBA_THROTTLING = 0xd50,
	MSR_HW_FEEDBACK_PTR = 0x17d0,
	MSR_HW_FEEDBACK_CONFIG = 0x17d1,
	MSR_KVM_SYSTEM_TIME = 0x4b564d01,
	MSR_KVM_ASYNC_PF = 0x4b564d02,
	MSR_KVM_STEAL_TIME = 0x4b564d03,
	MSR_KVM_EOI = 0x4b564d04,
	MSR_SYSCFG = 0xc0010010,
	MSR_HWCR = 0xc0010015,
	MSR_VIRT_SPEC_CTRL = 0xc001011f,
	MSR_CPPC_ENABLE = 0xc00102b1,
	MSR_CPPC_REQUEST = 0xc00102b3,
	MSR_LS_CFG = 0xc0011020,
	MSR_DE_CFG = 0xc0011029,
	MSR_IBS_FETCH_CTL = 0xc0011030,
	MSR_IBS_OP_CTL = 0xc0011033,
	MSR_SYSENTER_CS = 0x174,
	MSR_SYSENTER_ESP = 0x175,
	MSR_SYSENTER_EIP = 0x176,
	MSR_SPEC_CTRL = 0x48,
	MSR_DEBUGCTL = 0x1d9,
	MSR_PAT = 0x277,
	MSR_MTRR_DEF_TYPE = 0x2ff,
	MSR_U_CET = 0x6a0,
	MSR_S_CET = 0x6a2,
	MSR_PL3_SSP = 0x6a7,
	MSR_PERF_GLOBAL_CTRL = 0x38f,
	MSR_XSS = 0xda0,
	MSR_EFER = 0xc0000080,
	MSR_STAR = 0xc0000081,
	MSR_LSTAR = 0xc0000082,
	MSR_CSTAR = 0xc0000083,
	MSR_SFMASK = 0xc0000084,
	MSR_FS_BASE = 0xc0000100,
	MSR_GS_BASE = 0xc0000101,
	MSR_KERNEL_GS_BASE = 0xc0000102,
	MSR_TSC_AUX = 0xc0000103,
	PCI_FUNCTIONS_MAX = 1024,
	PCI_COMMAND = 0x04,
	PCI_HEADER_TYPE = 0x0c,
	PCI_BAR0 = 0x10,
	PORT_ELCR1 = 0x4d0,
	PORT_ELCR2 = 0x4d1,
	PORT_SPEAKER = 0x61,
	UART1 = 0x3f8,
	UART2 = 0x2f8,
	UART_IER = 1,
	UART_LCR = 3,
	UART_MCR = 4,
	UART_LSR = 5,
};

/* ---- readers and writers, one pair a kind ---- */

static u64 read_cpu(u32 which, u32 index)
{
	(void)index;
	return pk_cpu_read(which);
}

static u64 read_msr(u32 which, u32 index)
{
	(void)index;
	return pk_rdmsr(which);
}

static void write_msr(u32 which, u32 index, u64 value)
{
	(void)index;
	if (pk_rdmsr(which) != value)
		pk_wrmsr(which, value);
}

static u64 read_msrs(u32 which, u32 index)
{
	return pk_rdmsr(which + index);
}

static void write_msrs(u32 which, u32 index, u64 value)
{
	write_msr(which + index, 0, value);
}

static const u16 fixed_mtrrs[] = {
	0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f,
};

static u64 read_fixed_mtrr(u32 which, u32 index)
{
	(void)which;
	return pk_rdmsr(fixed_mtrrs[index]);
}

static void write_apic_mode(u32 which, u32 index, u64 value)
{
	(void)which;
	(void)index;
	pk_lapic_set_mode(value);
}

static u64 read_dr(u32 which, u32 index)
{
	(void)index;
	return pk_dr_read(which);
}

static void write_dr(u32 which, u32 index, u64 value)
{
	(void)index;
	pk_dr_write(which, value);
}

static u64 read_xcr0(u32 which, u32 index)
{
	(void)which;
	(void)index;
	return pk_xcr0_read();
}

static void write_xcr0(u32 which, u32 index, u64 value)
{
	(void)which;
	(void)index;
	pk_xcr0_write(value);
}

static u64 read_lapic(u32 which, u32 index)
{
	(void)index;
	return pk_lapic_has(which) ? pk_lapic_read(which) : 0;
}

static void write_lapic(u32 which, u32 index, u64 value)
{
	(void)index;
	if (pk_lapic_has(which))
		pk_lapic_write(which, (u32)value);
}

/* Every processor that we run on has LVT_PMC: a lean switch has no time to ask. */
static u64 read_lvt_pmc(u32 which, u32 index)
{
	(void)index;
	return pk_lapic_read(which);
}

static void write_lvt_pmc(u32 which, u32 index, u64 value)
{
	(void)index;
	pk_lapic_write(which, (u32)value);
}

static u64 read_ioapic(u32 which, u32 index)
{
	return pk_ioapic_read(which + 2 * index) | (u64)pk_ioapic_read(which + 2 * index + 1) << 32;
}

static void write_ioapic(u32 which, u32 index, u64 value)
{
	if (read_ioapic(which, index) == value)
		return;
	/* Destination first: the low word may unmask. */
	pk_ioapic_write(which + 2 * index + 1, (u32)(value >> 32));
	pk_ioapic_write(which + 2 * index, (u32)value);
}

static u64 read_port(u32 which, u32 index)
{
	(void)index;
	return pk_inb(which);
}

static void write_port(u32 which, u32 index, u64 value)
{
	(void)index;
	if (pk_inb(which) != (u8)value)
		pk_outb(which, (u8)value);
}

static u16 pci_functions[PCI_FUNCTIONS_MAX];
static u32 nr_pci_functions;

static u64 read_pci(u32 which, u32 index)
{
	return pk_pci_read(pci_functions[index], which) & 0xffff;
}

/* The upper half is the status register, write-one-to-clear: zeroes leave it alone. */
static void write_pci(u32 which, u32 index, u64 value)
{
	if (read_pci(which, index) != value)
		pk_pci_write(pci_functions[index], which, (u32)value & 0xffff);
}

/* All BARs of a function in one value (FNV-1a): nobody restores them, any change is news. */
static u64 read_pci_bars(u32 which, u32 index)
{
	u64 hash = 0xcbf29ce484222325;

	for (u32 bar = 0; bar < 6; bar++)
		hash = (hash ^ pk_pci_read(pci_functions[index], which + 4 * bar)) * 0x100000001b3;
	return hash;
}

/* ---- presence and counts ---- */

/* No instruction loads a null TR: where the firmware has none, Linux' stays behind, and nothing uses it. */
static bool has_tr(void) { return pk_cpu_read(PK_CPU_SEL_TR); }
static bool has_uart1(void) { return pk_inb(UART1 + UART_LSR) != 0xff; }
static bool has_uart2(void) { return pk_inb(UART2 + UART_LSR) != 0xff; }
static bool has_pic(void) { return pk_inb(PORT_ELCR1) != 0xff || pk_inb(PK_PIC_IMR1) != 0xff; }
static u32 count_fixed_mtrr(void) { return sizeof(fixed_mtrrs) / sizeof(fixed_mtrrs[0]); }
static u32 count_pci(void) { return nr_pci_functions; }
static u32 label_pci(u32 index) { return pci_functions[index]; }

static bool pci_present(u32 bdf)
{
	return (pk_pci_read(bdf, 0) & 0xffff) != 0xffff;
}

void pk_state_scan_pci(void)
{
	u32 nr_found = 0;

	nr_pci_functions = 0;
	for (u32 device = 0; device < 256 * 32; device++) {
		u32 bdf = device << 3;
		bool multifunction;

		if (!pci_present(bdf))
			continue;
		multifunction = pk_pci_read(bdf, PCI_HEADER_TYPE) & 0x800000;
		for (u32 function = 0; function < (multifunction ? 8 : 1); function++)
			if (pci_present(bdf | function) && nr_found++ < PCI_FUNCTIONS_MAX)
				pci_functions[nr_pci_functions++] = bdf | function;
	}
	if (nr_found > nr_pci_functions)
		pk_print("pykexec: of %d PCI functions %d are watched\n", (u64)nr_found, (u64)nr_pci_functions);
}

/* ---- the table ---- */

#define ALL (~0ULL)
/* Delivery status and remote IRR move by themselves. */
#define LVT_BITS 0xffffafffULL
#define RTE_BITS 0xffffffffffffafffULL
#define GATE PK_STATE_GATE

#define CPU(name, which, flags) { name, read_cpu, NULL, which, flags, ALL, NULL, NULL, NULL }
/* What a processor announces a hypervisor may have forgotten: so each is tried, once. */
#define PROBED PK_ITEM_PROBED
/* Restored by gate.S, with the processor's own instructions. */
#define MSR_ENTRY(name, which, flags) { name, read_msr, NULL, which, flags, ALL, NULL, NULL, NULL }
#define MSR(name, which, present) { name, read_msr, write_msr, which, PROBED, ALL, present, NULL, NULL }
#define MSRS(name, which, present, count) \
	{ name, read_msrs, write_msrs, which, PROBED, ALL, present, count, NULL }
/* Kept from Linux by what it is started with, or left alone: a change is news. */
#define MSR_COMPARED(name, which, flags, present) \
	{ name, read_msr, NULL, which, PROBED | (flags), ALL, present, NULL, NULL }
/* What Linux, or root's perf or debugger, set for Linux' code must not fire in the firmware's. */
#define MSR_GATE(name, which, present) \
	{ name, read_msr, write_msr, which, PROBED | GATE | PK_ITEM_LOCAL | PK_ITEM_LEAN, ALL, present, NULL, NULL }
#define LAPIC(name, which, bits) { name, read_lapic, write_lapic, which, GATE | PK_ITEM_LOCAL, bits, NULL, NULL, NULL }
#define PORT(name, which, flags, bits, present) { name, read_port, write_port, which, flags, bits, present, NULL, NULL }

const struct pk_state_item pk_state_items[] = {
	/* First: until then the processor writes a trace of what it does into Linux' memory. */
	MSR_GATE("rtit_ctl", MSR_RTIT_CTL, pk_has_trace),
	/* Then what else writes there: the processor's table of its cores' powers, records of perf's, a hypervisor. */
	MSR("hw_feedback_config", MSR_HW_FEEDBACK_CONFIG, pk_has_hw_feedback),
	MSR("hw_feedback_ptr", MSR_HW_FEEDBACK_PTR, pk_has_hw_feedback),
	MSR("pebs_enable", MSR_PEBS_ENABLE, pk_has_pebs),
	MSR("ds_area", MSR_DS_AREA, pk_has_debug_store),
	MSR("kvm.system_time", MSR_KVM_SYSTEM_TIME, pk_has_kvm_clock),
	MSR("kvm.async_pf", MSR_KVM_ASYNC_PF, pk_has_kvm_async_pf),
	MSR("kvm.steal_time", MSR_KVM_STEAL_TIME, pk_has_kvm_steal_time),
	MSR("kvm.eoi", MSR_KVM_EOI, pk_has_kvm_eoi),
	CPU("cr0", PK_CPU_CR0, GATE),
	CPU("cr3", PK_CPU_CR3, GATE),
	CPU("cr4", PK_CPU_CR4, GATE),
	CPU("cr8", PK_CPU_CR8, GATE),
	CPU("gdt.base", PK_CPU_GDT_BASE, GATE),
	CPU("gdt.limit", PK_CPU_GDT_LIMIT, GATE),
	/* In the gate it is a copy, with handlers of ours: faults.c. */
	CPU("idt.base", PK_CPU_IDT_BASE, 0),
	CPU("idt.limit", PK_CPU_IDT_LIMIT, 0),
	CPU("cs", PK_CPU_SEL_CS, GATE),
	CPU("ds", PK_CPU_SEL_DS, GATE),
	CPU("es", PK_CPU_SEL_ES, GATE),
	CPU("fs", PK_CPU_SEL_FS, GATE),
	CPU("gs", PK_CPU_SEL_GS, GATE),
	CPU("ss", PK_CPU_SEL_SS, GATE),
	{ "tr", read_cpu, NULL, PK_CPU_SEL_TR, 0, ALL, has_tr, NULL, NULL },
	CPU("ldtr", PK_CPU_SEL_LDT, 0),
	CPU("fcw", PK_CPU_FPU_CW, GATE),
	CPU("mxcsr", PK_CPU_FPU_MXCSR, GATE),
	MSR_ENTRY("efer", MSR_EFER, 0),
	MSR_ENTRY("pat", MSR_PAT, GATE),
	MSR_ENTRY("fs_base", MSR_FS_BASE, GATE),
	MSR_ENTRY("gs_base", MSR_GS_BASE, GATE),
	MSR_ENTRY("kernel_gs_base", MSR_KERNEL_GS_BASE, GATE),
	MSR("star", MSR_STAR, NULL),
	MSR("lstar", MSR_LSTAR, NULL),
	MSR("cstar", MSR_CSTAR, NULL),
	MSR("sfmask", MSR_SFMASK, NULL),
	MSR("sysenter_cs", MSR_SYSENTER_CS, pk_has_sysenter),
	MSR("sysenter_esp", MSR_SYSENTER_ESP, pk_has_sysenter),
	MSR("sysenter_eip", MSR_SYSENTER_EIP, pk_has_sysenter),
	MSR("tsc_aux", MSR_TSC_AUX, pk_has_rdtscp),
	MSR("tsc_adjust", MSR_TSC_ADJUST, pk_has_tsc_adjust),
	MSR("misc_enable", PK_MSR_MISC_ENABLE, pk_is_intel),
	MSR("mtrr_def_type", MSR_MTRR_DEF_TYPE, pk_has_mtrr),
	{ "mtrr.fixed", read_fixed_mtrr, NULL, 0, 0, ALL, pk_has_fixed_mtrr, count_fixed_mtrr, NULL },
	{ "mtrr.variable", read_msrs, NULL, MSR_MTRR_VARIABLE, 0, ALL, pk_has_mtrr, pk_count_variable_mtrr, NULL },
	{ "dr0", read_dr, write_dr, 0, 0, ALL, NULL, NULL, NULL },
	{ "dr1", read_dr, write_dr, 1, 0, ALL, NULL, NULL, NULL },
	{ "dr2", read_dr, write_dr, 2, 0, ALL, NULL, NULL, NULL },
	{ "dr3", read_dr, write_dr, 3, 0, ALL, NULL, NULL, NULL },
	{ "dr6", read_dr, write_dr, 6, 0, ALL, NULL, NULL, NULL },
	{ "dr7", read_dr, write_dr, 7, GATE | PK_ITEM_LOCAL | PK_ITEM_LEAN, ALL, NULL, NULL, NULL },
	/* Bus locks trap by it, too. */
	MSR_GATE("debugctl", MSR_DEBUGCTL, pk_has_debugctl),
	MSR_GATE("ibs_fetch_ctl", MSR_IBS_FETCH_CTL, pk_has_ibs),
	MSR_GATE("ibs_op_ctl", MSR_IBS_OP_CTL, pk_has_ibs),
	MSR_GATE("test_ctrl", MSR_TEST_CTRL, pk_has_test_ctrl),
	/* Linux locks it where the firmware did not: that cannot be undone, and is told. */
	MSR_COMPARED("feat_ctl", MSR_FEAT_CTL, PK_STATE_TOLD, pk_has_feat_ctl),
	MSR_GATE("perf_global_ctrl", MSR_PERF_GLOBAL_CTRL, pk_has_perf_global),
	/* Not switched: what Linux protects itself from may not read the firmware's memory either. */
	MSR("spec_ctrl", MSR_SPEC_CTRL, pk_has_spec_ctrl),
	MSR("virt_spec_ctrl", MSR_VIRT_SPEC_CTRL, pk_has_virt_ssbd),
	MSR("umwait_control", MSR_UMWAIT_CONTROL, pk_has_waitpkg),
	MSR("tsx_force_abort", MSR_TSX_FORCE_ABORT, pk_has_tsx_force_abort),
	MSR("tsx_ctrl", MSR_TSX_CTRL, pk_has_tsx_ctrl),
	MSR("mcu_opt_ctrl", MSR_MCU_OPT_CTRL, pk_has_mcu_opt_ctrl),
	MSR("misc_features", MSR_MISC_FEATURES_ENABLES, pk_is_intel),
	MSR("energy_perf_bias", MSR_ENERGY_PERF_BIAS, pk_has_energy_bias),
	MSR("therm_interrupt", MSR_THERM_INTERRUPT, pk_has_thermal),
	MSR("pkg_therm_interrupt", MSR_PACKAGE_THERM_INTERRUPT, pk_has_package_thermal),
	/* Until reset, once it is set: intel_pstate=disable. */
	MSR_COMPARED("pm_enable", PK_MSR_PM_ENABLE, 0, pk_has_hwp),
	MSR("hwp_request", MSR_HWP_REQUEST, pk_has_hwp_on),
	MSR("power_ctl", MSR_POWER_CTL, pk_is_intel),
	MSR("pkg_cst_config", MSR_PKG_CST_CONFIG, pk_is_intel),
	MSR("pqr_assoc", MSR_PQR_ASSOC, pk_has_pqr),
	MSRS("l3_mask", MSR_L3_MASKS, pk_has_l3_masks, pk_count_l3_masks),
	MSRS("l2_mask", MSR_L2_MASKS, pk_has_l2_masks, pk_count_l2_masks),
	MSRS("mba_throttling", MSR_MBA_THROTTLING, pk_has_throttling, pk_count_throttling),
	MSR("hwcr", MSR_HWCR, pk_is_amd),
	MSR("ls_cfg", MSR_LS_CFG, pk_is_amd),
	/* Errata, which whoever comes next sets, too. */
	MSR_COMPARED("de_cfg", MSR_DE_CFG, PK_STATE_TOLD, pk_is_amd),
	MSR_COMPARED("syscfg", MSR_SYSCFG, 0, pk_is_amd),
	/* Until reset: without ACPI's words amd_pstate is none. */
	MSR_COMPARED("cppc_enable", MSR_CPPC_ENABLE, 0, pk_has_cppc),
	MSR("cppc_request", MSR_CPPC_REQUEST, pk_has_cppc),
	MSR("xfd", MSR_XFD, pk_has_xfd),
	MSR("pkrs", MSR_PKRS, pk_has_pks),
	MSR("xss", MSR_XSS, pk_has_xss),
	MSR("u_cet", MSR_U_CET, pk_has_cet),
	MSR("s_cet", MSR_S_CET, pk_has_cet),
	MSR("pl3_ssp", MSR_PL3_SSP, pk_has_shadow_stack),
	PK_TEST_ITEM(MSR("x2apic.id", MSR_X2APIC_ID, NULL))
	{ "xcr0", read_xcr0, write_xcr0, 0, 0, ALL, pk_has_xsave, NULL, NULL },
	{ "apic_base", read_msr, write_apic_mode, PK_MSR_APIC_BASE, 0, ALL, NULL, NULL, NULL },
	LAPIC("lapic.svr", PK_LAPIC_SVR, ALL),
	LAPIC("lapic.tpr", PK_LAPIC_TPR, ALL),
	LAPIC("lapic.dfr", PK_LAPIC_DFR, ALL),
	LAPIC("lapic.ldr", PK_LAPIC_LDR, ALL),
	LAPIC("lapic.lvt_lint0", PK_LAPIC_LVT_LINT0, LVT_BITS),
	LAPIC("lapic.lvt_lint1", PK_LAPIC_LVT_LINT1, LVT_BITS),
	LAPIC("lapic.lvt_error", PK_LAPIC_LVT_ERROR, LVT_BITS),
	{ "lapic.lvt_pmc", read_lapic, write_lapic, PK_LAPIC_LVT_PMC, GATE | PK_ITEM_LOCAL, LVT_BITS,
	  pk_has_perf_global, NULL, NULL },
	{ "lapic.lvt_pmc", read_lvt_pmc, write_lvt_pmc, PK_LAPIC_LVT_PMC, GATE | PK_ITEM_LOCAL | PK_ITEM_LEAN,
	  LVT_BITS, pk_has_no_perf_global, NULL, NULL },
	LAPIC("lapic.lvt_thermal", PK_LAPIC_LVT_THERMAL, LVT_BITS),
	LAPIC("lapic.lvt_cmci", PK_LAPIC_LVT_CMCI, LVT_BITS),
	LAPIC("lapic.timer_divide", PK_LAPIC_TIMER_DIVIDE, ALL),
	LAPIC("lapic.timer_initial", PK_LAPIC_TIMER_INITIAL, ALL),
	LAPIC("lapic.lvt_timer", PK_LAPIC_LVT_TIMER, LVT_BITS),
	{ "ioapic.rte", read_ioapic, write_ioapic, PK_IOAPIC_RTE, GATE | PK_ITEM_EXTERNAL, RTE_BITS, NULL,
	  pk_ioapic_pins, NULL },
	PORT("pic.elcr1", PORT_ELCR1, GATE | PK_ITEM_EXTERNAL, ALL, has_pic),
	PORT("pic.elcr2", PORT_ELCR2, GATE | PK_ITEM_EXTERNAL, ALL, has_pic),
	PORT("pic.imr1", PK_PIC_IMR1, GATE | PK_ITEM_EXTERNAL, ALL, has_pic),
	PORT("pic.imr2", PK_PIC_IMR2, GATE | PK_ITEM_EXTERNAL, ALL, has_pic),
	/* The gate switches them by watchdog.c, but for the BMC's, which is slow. */
	{ "tco.control", pk_tco_read, pk_tco_write, 0, GATE, ALL, pk_tco_armed, NULL, NULL },
	{ "wdrt.control", pk_wdrt_read, pk_wdrt_write, 0, GATE, ALL, pk_wdrt_armed, NULL, NULL },
	{ "wdat.running", pk_wdat_read, pk_wdat_write, 0, GATE, ALL, pk_wdat_armed, NULL, NULL },
	{ "bmc.watchdog", pk_bmc_read, pk_bmc_write, 0, 0, ALL, pk_bmc_armed, NULL, NULL },
	PORT("speaker", PORT_SPEAKER, 0, 0x3, NULL),
	PORT("uart1.lcr", UART1 + UART_LCR, 0, ALL, has_uart1),
	PORT("uart1.ier", UART1 + UART_IER, 0, ALL, has_uart1),
	PORT("uart1.mcr", UART1 + UART_MCR, 0, ALL, has_uart1),
	PORT("uart2.lcr", UART2 + UART_LCR, 0, ALL, has_uart2),
	PORT("uart2.ier", UART2 + UART_IER, 0, ALL, has_uart2),
	PORT("uart2.mcr", UART2 + UART_MCR, 0, ALL, has_uart2),
	{ "pci.command", read_pci, write_pci, PCI_COMMAND, 0, ALL, NULL, count_pci, label_pci },
	{ "pci.bars", read_pci_bars, NULL, PCI_BAR0, 0, ALL, NULL, count_pci, label_pci },
};

const u32 pk_nr_state_items = sizeof(pk_state_items) / sizeof(pk_state_items[0]);
_Static_assert(sizeof(pk_state_items) / sizeof(pk_state_items[0]) <= PK_STATE_ITEMS_MAX, "state.c counts each");
