/* SPDX-License-Identifier: Apache-2.0 */
/* What the processor announces that it has: nobody else may touch the registers that come with it. */
#ifndef PK_STUB_ANNOUNCED_H
#define PK_STUB_ANNOUNCED_H

#include <stub/lib/io.h>

enum pk_announced_msr {
	PK_MSR_CORE_CAPS = 0xcf,
	PK_CORE_CAPS_SPLIT_LOCK = 1 << 5,
	PK_MSR_MTRR_CAP = 0xfe,
	PK_MTRR_CAP_COUNT = 0xff,
	PK_MTRR_CAP_FIXED = 1 << 8,
	PK_MSR_ARCH_CAPABILITIES = 0x10a,
	PK_ARCH_CAP_TSX_CTRL = 1 << 7,
	PK_ARCH_CAP_FB_CLEAR_CTRL = 1 << 18,
	PK_ARCH_CAP_GDS_CTRL = 1 << 25,
	PK_MSR_MISC_ENABLE = 0x1a0,
	PK_MISC_ENABLE_NO_PEBS = 1 << 12,
	PK_MSR_PM_ENABLE = 0x770,
	PK_CPUID_THERMAL = 6,
	PK_CPUID_FEATURES = 7,
	PK_CPUID_XSAVE = 0xd,
	PK_CPUID_ALLOCATION = 0x10,
	PK_ALLOCATION_L3 = 1,
	PK_ALLOCATION_L2 = 2,
	PK_ALLOCATION_MBA = 3,
	PK_ALLOCATION_LAST_CLASS = 0xffff,
	PK_CPUID_KVM = 0x40000000,
	PK_CPUID_KVM_FEATURES = 0x40000001,
	PK_CPUID_AMD = 0x80000001,
	PK_CPUID_AMD_MORE = 0x80000008,
};

#define PK_ANNOUNCED(name, leaf, subleaf, reg, bit) \
	static inline bool name(void) \
	{ \
		return pk_cpuid(leaf, subleaf).reg >> (bit) & 1; \
	}

/* Intel SDM 2A, CPUID */
PK_ANNOUNCED(pk_has_sysenter, 1, 0, edx, 11)
PK_ANNOUNCED(pk_has_mtrr, 1, 0, edx, 12)
PK_ANNOUNCED(pk_has_debug_store, 1, 0, edx, 21)
PK_ANNOUNCED(pk_has_thermal, 1, 0, edx, 22)
PK_ANNOUNCED(pk_has_xsave, 1, 0, ecx, 26)
PK_ANNOUNCED(pk_is_guest, 1, 0, ecx, 31)
PK_ANNOUNCED(pk_has_package_thermal, PK_CPUID_THERMAL, 0, eax, 6)
PK_ANNOUNCED(pk_has_hwp, PK_CPUID_THERMAL, 0, eax, 7)
PK_ANNOUNCED(pk_has_hw_feedback, PK_CPUID_THERMAL, 0, eax, 19)
PK_ANNOUNCED(pk_has_energy_bias, PK_CPUID_THERMAL, 0, ecx, 3)
PK_ANNOUNCED(pk_has_tsc_adjust, PK_CPUID_FEATURES, 0, ebx, 1)
PK_ANNOUNCED(pk_has_monitoring, PK_CPUID_FEATURES, 0, ebx, 12)
PK_ANNOUNCED(pk_has_allocation, PK_CPUID_FEATURES, 0, ebx, 15)
PK_ANNOUNCED(pk_has_trace, PK_CPUID_FEATURES, 0, ebx, 25)
PK_ANNOUNCED(pk_has_waitpkg, PK_CPUID_FEATURES, 0, ecx, 5)
PK_ANNOUNCED(pk_has_shadow_stack, PK_CPUID_FEATURES, 0, ecx, 7)
PK_ANNOUNCED(pk_has_pks, PK_CPUID_FEATURES, 0, ecx, 31)
PK_ANNOUNCED(pk_has_srbds_ctrl, PK_CPUID_FEATURES, 0, edx, 9)
PK_ANNOUNCED(pk_has_tsx_force_abort, PK_CPUID_FEATURES, 0, edx, 13)
PK_ANNOUNCED(pk_has_branch_tracking, PK_CPUID_FEATURES, 0, edx, 20)
PK_ANNOUNCED(pk_has_intel_spec_ctrl, PK_CPUID_FEATURES, 0, edx, 26)
PK_ANNOUNCED(pk_has_arch_capabilities, PK_CPUID_FEATURES, 0, edx, 29)
PK_ANNOUNCED(pk_has_core_caps, PK_CPUID_FEATURES, 0, edx, 30)
PK_ANNOUNCED(pk_has_xss, PK_CPUID_XSAVE, 1, eax, 3)
PK_ANNOUNCED(pk_has_xfd, PK_CPUID_XSAVE, 1, eax, 4)
PK_ANNOUNCED(pk_has_l3_masks, PK_CPUID_ALLOCATION, 0, ebx, PK_ALLOCATION_L3)
PK_ANNOUNCED(pk_has_l2_masks, PK_CPUID_ALLOCATION, 0, ebx, PK_ALLOCATION_L2)
PK_ANNOUNCED(pk_has_throttling, PK_CPUID_ALLOCATION, 0, ebx, PK_ALLOCATION_MBA)
/* AMD64 manual 3, appendix E */
PK_ANNOUNCED(pk_has_ibs_leaf, PK_CPUID_AMD, 0, ecx, 10)
PK_ANNOUNCED(pk_has_rdtscp, PK_CPUID_AMD, 0, edx, 27)
PK_ANNOUNCED(pk_has_ibrs, PK_CPUID_AMD_MORE, 0, ebx, 14)
PK_ANNOUNCED(pk_has_stibp, PK_CPUID_AMD_MORE, 0, ebx, 15)
PK_ANNOUNCED(pk_has_ssbd, PK_CPUID_AMD_MORE, 0, ebx, 24)
PK_ANNOUNCED(pk_has_virt_ssbd, PK_CPUID_AMD_MORE, 0, ebx, 25)
PK_ANNOUNCED(pk_has_cppc, PK_CPUID_AMD_MORE, 0, ebx, 27)

static inline bool pk_is_intel(void)
{
	return pk_cpuid(0, 0).ebx == 0x756e6547;	/* Genu */
}

static inline bool pk_is_amd(void)
{
	u32 vendor = pk_cpuid(0, 0).ebx;

	return vendor == 0x68747541 || vendor == 0x6f677948;	/* Auth, Hygo */
}

static inline bool pk_has_ibs(void) { return pk_is_amd() && pk_has_ibs_leaf(); }
static inline bool pk_has_debugctl(void) { return pk_is_intel() || pk_is_amd(); }
static inline bool pk_has_cet(void) { return pk_has_shadow_stack() || pk_has_branch_tracking(); }

static inline bool pk_has_spec_ctrl(void)
{
	return pk_has_intel_spec_ctrl() || (pk_is_amd() && (pk_has_ibrs() || pk_has_stibp() || pk_has_ssbd()));
}

static inline bool pk_has_perf_global(void)
{
	return pk_is_intel() && (pk_cpuid(0xa, 0).eax & 0xff) >= 2;
}

/* No one register stops the counters (AMD): what they raise is held back, which may be NMIs. */
static inline bool pk_has_no_perf_global(void) { return !pk_has_perf_global(); }

static inline bool pk_has_pebs(void)
{
	return pk_is_intel() && pk_has_debug_store() && !(pk_rdmsr(PK_MSR_MISC_ENABLE) & PK_MISC_ENABLE_NO_PEBS);
}

static inline bool pk_has_test_ctrl(void)
{
	return pk_has_core_caps() && pk_rdmsr(PK_MSR_CORE_CAPS) & PK_CORE_CAPS_SPLIT_LOCK;
}

static inline bool pk_has_feat_ctl(void) { return pk_is_intel() && pk_cpuid(1, 0).ecx & 3 << 5; }

static inline u64 pk_arch_capabilities(void)
{
	return pk_has_arch_capabilities() ? pk_rdmsr(PK_MSR_ARCH_CAPABILITIES) : 0;
}

static inline bool pk_has_tsx_ctrl(void) { return pk_arch_capabilities() & PK_ARCH_CAP_TSX_CTRL; }

static inline bool pk_has_mcu_opt_ctrl(void)
{
	return pk_has_srbds_ctrl() || pk_arch_capabilities() & (PK_ARCH_CAP_FB_CLEAR_CTRL | PK_ARCH_CAP_GDS_CTRL);
}

/* The other registers fault until the first is set, which lasts until reset (SDM 3B, 16.4.2). */
static inline bool pk_has_hwp_on(void) { return pk_has_hwp() && pk_rdmsr(PK_MSR_PM_ENABLE) & 1; }

static inline bool pk_has_pqr(void) { return pk_has_allocation() || pk_has_monitoring(); }

static inline u32 pk_nr_classes(u32 resource)
{
	return (pk_cpuid(PK_CPUID_ALLOCATION, resource).edx & PK_ALLOCATION_LAST_CLASS) + 1;
}

static inline u32 pk_count_l3_masks(void) { return pk_nr_classes(PK_ALLOCATION_L3); }
static inline u32 pk_count_l2_masks(void) { return pk_nr_classes(PK_ALLOCATION_L2); }
static inline u32 pk_count_throttling(void) { return pk_nr_classes(PK_ALLOCATION_MBA); }

static inline bool pk_has_fixed_mtrr(void)
{
	return pk_has_mtrr() && pk_rdmsr(PK_MSR_MTRR_CAP) & PK_MTRR_CAP_FIXED;
}

/* A base and a mask each. */
static inline u32 pk_count_variable_mtrr(void)
{
	return 2 * (pk_rdmsr(PK_MSR_MTRR_CAP) & PK_MTRR_CAP_COUNT);
}

/* Linux, Documentation/virt/kvm/x86/cpuid.rst */
static inline u32 pk_kvm_features(void)
{
	struct pk_cpuid id = { 0 };

	if (pk_is_guest())
		id = pk_cpuid(PK_CPUID_KVM, 0);
	if (id.ebx != 0x4b4d564b || id.ecx != 0x564b4d56 || id.edx != 0x4d)	/* KVMKVMKVM */
		return 0;
	return pk_cpuid(PK_CPUID_KVM_FEATURES, 0).eax;
}

static inline bool pk_has_kvm_clock(void) { return pk_kvm_features() & 1 << 3; }
static inline bool pk_has_kvm_async_pf(void) { return pk_kvm_features() & 1 << 4; }
static inline bool pk_has_kvm_steal_time(void) { return pk_kvm_features() & 1 << 5; }
static inline bool pk_has_kvm_eoi(void) { return pk_kvm_features() & 1 << 6; }

#endif
