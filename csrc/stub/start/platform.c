// SPDX-License-Identifier: Apache-2.0
/* What a machine must not be for the gate to work: said before anything is done. */
#include <stub/gate/announced.h>
#include <stub/lib/console.h>
#include <stub/lib/cpu.h>
#include <stub/start/platform.h>

enum {
	MSR_S_CET = 0x6a2,
	CPUID_TDX = 0x21,
	CPUID_AMD_ENCRYPTION = 0x8000001f,
	AMD_SME_OR_SEV = 3,
	AMD_SME = 1,
	AMD_BIT_OF_ADDRESS = 0x3f,
	MSR_SYSCFG = 0xc0010010,
	SYSCFG_ENCRYPTION = 0x800000,
	MSR_SEV_STATUS = 0xc0010131,
};

/* Linux' page tables and ours would need the firmware's bit, and its exceptions a handler in both worlds. */
static bool is_sev_guest(void)
{
	return pk_is_guest() && pk_cpuid(CPUID_AMD_ENCRYPTION, 0).eax & AMD_SME_OR_SEV &&
	       pk_rdmsr(MSR_SEV_STATUS);
}

/* APM 2, 7.10: what it writes for Linux would be garbage to a Linux that does not encrypt. */
static bool encrypts_memory(void)
{
	struct pk_cpuid id = pk_cpuid(CPUID_AMD_ENCRYPTION, 0);

	return !pk_is_guest() && id.eax & AMD_SME && pk_rdmsr(MSR_SYSCFG) & SYSCFG_ENCRYPTION &&
	       pk_cpu_read(PK_CPU_CR3) >> (id.ebx & AMD_BIT_OF_ADDRESS) & 1;
}

static bool is_tdx_guest(void)
{
	struct pk_cpuid id = pk_cpuid(CPUID_TDX, 0);

	return pk_is_guest() && id.ebx == 0x65746e49 && id.edx == 0x5844546c && id.ecx == 0x20202020;
}

/* The gate would have to bring shadow stacks along, and each function that the firmware calls its landing pad. */
static bool has_protected_branches(void)
{
	return pk_cpu_read(PK_CPU_CR4) & PK_CR4_CET && pk_rdmsr(MSR_S_CET);
}

efi_status_t pk_platform_check(void)
{
	const char *what = NULL;

	/* UEFI 2.10, 2.3.4: they are on. U-Boot's are never. */
	if (!pk_interrupts_enabled())
		what = "has firmware that runs without interrupts, and so without timers";
	else if (is_sev_guest())
		what = "is a confidential guest (AMD SEV)";
	else if (is_tdx_guest())
		what = "is a confidential guest (Intel TDX)";
	else if (encrypts_memory())
		what = "has firmware that encrypts its memory (AMD SME)";
	else if (has_protected_branches())
		what = "has firmware that runs with control-flow enforcement (CET)";
	if (!what)
		return EFI_SUCCESS;
	pk_print("pykexec: this machine %s, which is not supported\n", what);
	return EFI_UNSUPPORTED;
}
