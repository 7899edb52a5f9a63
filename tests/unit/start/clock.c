// SPDX-License-Identifier: Apache-2.0
/*
 * How fast the TSC runs on a machine that is a program. Arguments: its rate in kHz, what tells it
 * (cpuid, pm, pm-64, none, reduced, still, fast: a PM timer of twice its rate), how many
 * microseconds the first waits of the firmware's take longer, and how many are these. Prints what is
 * found, and for how many milliseconds it was waited.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stub/gate/register.h>
#include <stub/lib/acpi_tables.h>
#include <stub/lib/io.h>
#include <stub/lib/stub.h>
#include <stub/start/clock.h>

enum { PM_TIMER = 0x608, PM_TIMER_64 = 0x1808, READ_NS = 700, TSC_NS = 20, FADT_SIZE = 244 };

static const char *teller;
static u64 khz, late_us, nr_late, ns = 1000000000;
static u8 fadt[FADT_SIZE];

static bool is(const char *name) { return !strcmp(teller, name); }

u64 pk_rdtsc(void)
{
	ns += TSC_NS;
	return ns * khz / 1000000;
}

struct pk_cpuid pk_cpuid(u32 leaf, u32 subleaf)
{
	(void)subleaf;
	if (leaf != 0x15 || !is("cpuid"))
		return (struct pk_cpuid){ 0 };
	return (struct pk_cpuid){ .eax = 2, .ebx = 168, .ecx = (u32)(khz / 84 * 1000) };
}

static EFIAPI efi_status_t stall(u64 us)
{
	ns += (us + (nr_late ? late_us : 0)) * 1000;
	nr_late -= nr_late > 0;
	return EFI_SUCCESS;
}

static struct efi_boot_services services = { .stall = stall };
struct efi_boot_services *pk_bs = &services;

const void *pk_acpi_find(const char *signature, u32 n, u64 *ret_size)
{
	*ret_size = sizeof(fadt);
	return is("none") || n || memcmp(signature, "FACP", 4) ? NULL : fadt;
}

bool pk_register_is_there(const struct pk_acpi_address *where)
{
	return where->space == PK_ACPI_IO && where->access == 4;
}

u32 pk_register_read(const struct pk_acpi_address *where)
{
	u64 at = is("still") ? 1000000000 : ns;

	ns += READ_NS;
	if (where->address != (is("pm-64") ? PM_TIMER_64 : PM_TIMER))
		abort();
	return (u32)((at + READ_NS / 2) * (is("fast") ? 2 : 1) * 3579545 / 1000000000) & 0xffffff;
}

int main(int argc, char **argv)
{
	static const u16 old = PM_TIMER, new = PM_TIMER_64;
	u64 start = ns, found;

	if (argc != 5)
		return 2;
	khz = strtoull(argv[1], NULL, 0);
	teller = argv[2];
	late_us = strtoull(argv[3], NULL, 0);
	nr_late = strtoull(argv[4], NULL, 0);
	memcpy(fadt + 76, &old, sizeof(old));
	fadt[114] = is("reduced") ? 1 << 4 : 0;
	fadt[208] = PK_ACPI_IO;
	if (is("pm-64"))
		memcpy(fadt + 212, &new, sizeof(new));
	found = pk_tsc_khz();
	printf("%llu %llu\n", (unsigned long long)found, (unsigned long long)((ns - start) / 1000000));
	return 0;
}
