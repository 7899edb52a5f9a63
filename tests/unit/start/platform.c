// SPDX-License-Identifier: Apache-2.0
/*
 * Is a machine one on which Linux and the firmware can take turns? Arguments: what it is ("metal",
 * "guest", "sev", "sme", "tsme", "far", "tdx", "polled"), CR4, IA32_S_CET, .cmdline; the kernel comes
 * in. Prints both checks' statuses, what Linux is told of levels, and what was said.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stub/lib/console.h>
#include <stub/lib/cpu.h>
#include <stub/lib/io.h>
#include <stub/start/levels.h>
#include <stub/start/platform.h>
#include <stub/start/sections.h>

enum { ENCRYPTED_BIT = 47 };

struct pk_sections pk_sections;

static const char *machine;
static u64 cr4, s_cet;
static char said[512];

static bool is(const char *name)
{
	return !strcmp(machine, name);
}

/* "tsme": what it encrypts no page table says; "far": that bit is one of an address. */
static bool has_sme(void)
{
	return is("sme") || is("tsme");
}

struct pk_cpuid pk_cpuid(u32 leaf, u32 subleaf)
{
	(void)subleaf;
	if (leaf == 1)
		return (struct pk_cpuid){ .ecx = is("metal") || is("far") || has_sme() ? 0 : 1u << 31 };
	if (leaf == 0x21 && is("tdx"))
		return (struct pk_cpuid){ 0, 0x65746e49, 0x20202020, 0x5844546c };
	/* Whose memory is not encrypted: a processor that could. */
	if (leaf == 0x8000001f && (is("sev") || has_sme() || is("metal") || is("far")))
		return (struct pk_cpuid){ .eax = 3, .ebx = ENCRYPTED_BIT };
	return (struct pk_cpuid){ 0 };
}

u64 pk_rdmsr(u32 msr)
{
	if (msr == 0xc0010131 && is("sev"))
		return 1;
	if (msr == 0xc0010010 && (has_sme() || is("metal") || is("far")))
		return has_sme() ? 1 << 23 : 0;
	if (msr == 0x6a2 && cr4 & PK_CR4_CET)
		return s_cet;
	fprintf(stderr, "general protection fault: MSR %x\n", msr);
	exit(1);
}

bool pk_interrupts_enabled(void)
{
	return !is("polled");
}

u64 pk_cpu_read(enum pk_cpu_register which)
{
	return which == PK_CPU_CR4 ? cr4 : which == PK_CPU_CR3 && (is("sme") || is("far")) ? 1ULL << ENCRYPTED_BIT : 0;
}

void pk_print(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(said, sizeof(said), format, arguments);
	va_end(arguments);
}

int main(int argc, char **argv)
{
	static char kernel[4096];
	efi_status_t platform, levels;

	if (argc != 5)
		return 2;
	machine = argv[1];
	cr4 = strtoull(argv[2], NULL, 0);
	s_cet = strtoull(argv[3], NULL, 0);
	pk_sections.command_line = (struct pk_range){ (u64)argv[4], strlen(argv[4]) };
	pk_sections.kernel = (struct pk_range){ (u64)kernel, fread(kernel, 1, sizeof(kernel), stdin) };
	platform = pk_platform_check();
	levels = pk_levels_check();
	printf("%llx %llx '%s' %s\n", platform & 0xff, levels & 0xff, pk_levels_parameter(), said);
	return 0;
}
