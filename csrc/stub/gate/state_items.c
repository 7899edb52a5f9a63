// SPDX-License-Identifier: Apache-2.0
/* The table of machine state that Linux may have changed; adding an item is one line at its end. */
#include <pykexec/abi.h>
#include <stub/gate/hardware.h>
#include <stub/gate/state_items.h>
#include <stub/lib/io.h>

enum {
	MSR_TSC_ADJUST = 0x3b,
	MSR_SYSENTER_CS = 0x174,
	MSR_SYSENTER_ESP = 0x175,
	MSR_SYSENTER_EIP = 0x176,
	MSR_SPEC_CTRL = 0x48,
	MSR_MISC_ENABLE = 0x1a0,
	MSR_DEBUGCTL = 0x1d9,
	MSR_PAT = 0x277,
	MSR_MTRR_DEF_TYPE = 0x2ff,
	MSR_U_CET = 0x6a0,
	MSR_S_CET = 0x6a2,
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
	CR4_OSXSAVE = 0x40000,
	PCI_FUNCTIONS_MAX = 400,
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

enum { CR0, CR3, CR4, CR8, GDT_BASE, GDT_LIMIT, IDT_BASE, IDT_LIMIT, SEL_CS, SEL_DS, SEL_ES, SEL_FS, SEL_GS, SEL_SS,
       SEL_TR, SEL_LDT, FPU_CW, FPU_MXCSR };

static u64 read_cpu(u32 which, u32 index)
{
	struct { u8 bytes[10]; } table;
	u64 value = 0;
	u32 mxcsr;
	u16 fcw;

	(void)index;
	switch (which) {
	case CR0: __asm__ volatile("mov %%cr0, %0" : "=r"(value)); break;
	case CR3: __asm__ volatile("mov %%cr3, %0" : "=r"(value)); break;
	case CR4: __asm__ volatile("mov %%cr4, %0" : "=r"(value)); break;
	case CR8: __asm__ volatile("mov %%cr8, %0" : "=r"(value)); break;
	case SEL_CS: __asm__ volatile("mov %%cs, %0" : "=r"(value)); break;
	case SEL_DS: __asm__ volatile("mov %%ds, %0" : "=r"(value)); break;
	case SEL_ES: __asm__ volatile("mov %%es, %0" : "=r"(value)); break;
	case SEL_FS: __asm__ volatile("mov %%fs, %0" : "=r"(value)); break;
	case SEL_GS: __asm__ volatile("mov %%gs, %0" : "=r"(value)); break;
	case SEL_SS: __asm__ volatile("mov %%ss, %0" : "=r"(value)); break;
	case SEL_TR: __asm__ volatile("str %0" : "=r"(value)); break;
	case SEL_LDT: __asm__ volatile("sldt %0" : "=r"(value)); break;
	case FPU_CW: __asm__ volatile("fnstcw %0" : "=m"(fcw)); value = fcw; break;
	case FPU_MXCSR: __asm__ volatile("stmxcsr %0" : "=m"(mxcsr)); value = mxcsr; break;
	case GDT_BASE:
	case GDT_LIMIT: __asm__ volatile("sgdt %0" : "=m"(table)); break;
	case IDT_BASE:
	case IDT_LIMIT: __asm__ volatile("sidt %0" : "=m"(table)); break;
	}
	if (which == GDT_BASE || which == IDT_BASE)
		__builtin_memcpy(&value, table.bytes + 2, 8);
	if (which == GDT_LIMIT || which == IDT_LIMIT)
		__builtin_memcpy(&value, table.bytes, 2);
	return value;
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

static void write_apic_mode(u32 which, u32 index, u64 value)
{
	(void)which;
	(void)index;
	pk_lapic_set_mode(value);
}

static u64 read_dr7(u32 which, u32 index)
{
	u64 value;

	(void)which;
	(void)index;
	__asm__ volatile("mov %%dr7, %0" : "=r"(value));
	return value;
}

static void write_dr7(u32 which, u32 index, u64 value)
{
	(void)which;
	(void)index;
	__asm__ volatile("mov %0, %%dr7" : : "r"(value));
}

/* XCR0 is only within reach while CR4.OSXSAVE is set, which the firmware need not have done. */
static u64 read_xcr0(u32 which, u32 index)
{
	u64 cr4 = read_cpu(CR4, 0);
	u32 low, high;

	(void)which;
	(void)index;
	__asm__ volatile("mov %0, %%cr4" : : "r"(cr4 | CR4_OSXSAVE));
	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	__asm__ volatile("mov %0, %%cr4" : : "r"(cr4));
	return low | (u64)high << 32;
}

static void write_xcr0(u32 which, u32 index, u64 value)
{
	u64 cr4 = read_cpu(CR4, 0);

	(void)which;
	(void)index;
	__asm__ volatile("mov %0, %%cr4" : : "r"(cr4 | CR4_OSXSAVE));
	__asm__ volatile("xsetbv" : : "a"((u32)value), "d"((u32)(value >> 32)), "c"(0));
	__asm__ volatile("mov %0, %%cr4" : : "r"(cr4));
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
static bool has_tr(void) { return read_cpu(SEL_TR, 0); }
static bool has_uart1(void) { return pk_inb(UART1 + UART_LSR) != 0xff; }
static bool has_uart2(void) { return pk_inb(UART2 + UART_LSR) != 0xff; }
static bool has_tsc_adjust(void) { return pk_cpuid(7, 0).ebx & 1 << 1; }
static bool has_rdtscp(void) { return pk_cpuid(0x80000001, 0).edx & 1 << 27; }
static bool has_mtrr(void) { return pk_cpuid(1, 0).edx & 1 << 12; }
static bool has_sysenter(void) { return pk_cpuid(1, 0).edx & 1 << 11; }
static bool has_xsave(void) { return pk_cpuid(1, 0).ecx & 1 << 26; }
static bool has_xss(void) { return pk_cpuid(0xd, 1).eax & 1 << 3; }
static bool has_cet(void) { return (pk_cpuid(7, 0).ecx & 1 << 7) || (pk_cpuid(7, 0).edx & 1 << 20); }
static bool has_spec_ctrl(void) { return pk_cpuid(7, 0).edx & 1 << 26; }
static bool is_intel(void) { return pk_cpuid(0, 0).ebx == 0x756e6547; }
static bool has_perf_global(void) { return is_intel() && (pk_cpuid(0xa, 0).eax & 0xff) >= 2; }
static bool has_pic(void) { return pk_inb(PORT_ELCR1) != 0xff || pk_inb(PK_PIC_IMR1) != 0xff; }
static u32 count_pci(void) { return nr_pci_functions; }
static u32 label_pci(u32 index) { return pci_functions[index]; }

static bool pci_present(u32 bdf)
{
	return (pk_pci_read(bdf, 0) & 0xffff) != 0xffff;
}

void pk_state_scan_pci(void)
{
	nr_pci_functions = 0;
	for (u32 device = 0; device < 256 * 32; device++) {
		u32 bdf = device << 3;
		bool multifunction;

		if (!pci_present(bdf))
			continue;
		multifunction = pk_pci_read(bdf, PCI_HEADER_TYPE) & 0x800000;
		for (u32 function = 0; function < (multifunction ? 8 : 1); function++)
			if (pci_present(bdf | function) && nr_pci_functions < PCI_FUNCTIONS_MAX)
				pci_functions[nr_pci_functions++] = bdf | function;
	}
}

/* ---- the table ---- */

#define ALL (~0ULL)
/* Delivery status and remote IRR move by themselves. */
#define LVT_BITS 0xffffafffULL
#define RTE_BITS 0xffffffffffffafffULL
#define GATE PK_STATE_GATE

#define CPU(name, which, flags) { name, read_cpu, NULL, which, flags, ALL, NULL, NULL, NULL }
/* Restored by gate.S, with the processor's own instructions. */
#define MSR_ENTRY(name, which, flags) { name, read_msr, NULL, which, flags, ALL, NULL, NULL, NULL }
#define MSR(name, which, present) { name, read_msr, write_msr, which, 0, ALL, present, NULL, NULL }
/* What root's perf or debugger set for Linux' code must not fire in the firmware's. */
#define MSR_GATE(name, which, present) \
	{ name, read_msr, write_msr, which, GATE | PK_ITEM_LOCAL | PK_ITEM_LEAN, ALL, present, NULL, NULL }
#define LAPIC(name, which, bits) { name, read_lapic, write_lapic, which, GATE | PK_ITEM_LOCAL, bits, NULL, NULL, NULL }
#define PORT(name, which, flags, bits, present) { name, read_port, write_port, which, flags, bits, present, NULL, NULL }

const struct pk_state_item pk_state_items[] = {
	CPU("cr0", CR0, GATE),
	CPU("cr3", CR3, GATE),
	CPU("cr4", CR4, GATE),
	CPU("cr8", CR8, GATE),
	CPU("gdt.base", GDT_BASE, GATE),
	CPU("gdt.limit", GDT_LIMIT, GATE),
	CPU("idt.base", IDT_BASE, GATE),
	CPU("idt.limit", IDT_LIMIT, GATE),
	CPU("cs", SEL_CS, GATE),
	CPU("ds", SEL_DS, GATE),
	CPU("es", SEL_ES, GATE),
	CPU("fs", SEL_FS, GATE),
	CPU("gs", SEL_GS, GATE),
	CPU("ss", SEL_SS, GATE),
	{ "tr", read_cpu, NULL, SEL_TR, 0, ALL, has_tr, NULL, NULL },
	CPU("ldtr", SEL_LDT, 0),
	CPU("fcw", FPU_CW, GATE),
	CPU("mxcsr", FPU_MXCSR, GATE),
	MSR_ENTRY("efer", MSR_EFER, 0),
	MSR_ENTRY("pat", MSR_PAT, GATE),
	MSR_ENTRY("fs_base", MSR_FS_BASE, GATE),
	MSR_ENTRY("gs_base", MSR_GS_BASE, GATE),
	MSR_ENTRY("kernel_gs_base", MSR_KERNEL_GS_BASE, GATE),
	MSR("star", MSR_STAR, NULL),
	MSR("lstar", MSR_LSTAR, NULL),
	MSR("cstar", MSR_CSTAR, NULL),
	MSR("sfmask", MSR_SFMASK, NULL),
	MSR("sysenter_cs", MSR_SYSENTER_CS, has_sysenter),
	MSR("sysenter_esp", MSR_SYSENTER_ESP, has_sysenter),
	MSR("sysenter_eip", MSR_SYSENTER_EIP, has_sysenter),
	MSR("tsc_aux", MSR_TSC_AUX, has_rdtscp),
	MSR("tsc_adjust", MSR_TSC_ADJUST, has_tsc_adjust),
	MSR("misc_enable", MSR_MISC_ENABLE, is_intel),
	MSR("mtrr_def_type", MSR_MTRR_DEF_TYPE, has_mtrr),
	{ "dr7", read_dr7, write_dr7, 0, GATE | PK_ITEM_LOCAL | PK_ITEM_LEAN, ALL, NULL, NULL, NULL },
	MSR_GATE("debugctl", MSR_DEBUGCTL, is_intel),
	MSR_GATE("perf_global_ctrl", MSR_PERF_GLOBAL_CTRL, has_perf_global),
	MSR("spec_ctrl", MSR_SPEC_CTRL, has_spec_ctrl),
	MSR("xss", MSR_XSS, has_xss),
	MSR("u_cet", MSR_U_CET, has_cet),
	MSR("s_cet", MSR_S_CET, has_cet),
	{ "xcr0", read_xcr0, write_xcr0, 0, 0, ALL, has_xsave, NULL, NULL },
	{ "apic_base", read_msr, write_apic_mode, PK_MSR_APIC_BASE, 0, ALL, NULL, NULL, NULL },
	LAPIC("lapic.svr", PK_LAPIC_SVR, ALL),
	LAPIC("lapic.tpr", PK_LAPIC_TPR, ALL),
	LAPIC("lapic.dfr", PK_LAPIC_DFR, ALL),
	LAPIC("lapic.ldr", PK_LAPIC_LDR, ALL),
	LAPIC("lapic.lvt_lint0", PK_LAPIC_LVT_LINT0, LVT_BITS),
	LAPIC("lapic.lvt_lint1", PK_LAPIC_LVT_LINT1, LVT_BITS),
	LAPIC("lapic.lvt_error", PK_LAPIC_LVT_ERROR, LVT_BITS),
	LAPIC("lapic.lvt_pmc", PK_LAPIC_LVT_PMC, LVT_BITS),
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
