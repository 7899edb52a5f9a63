// SPDX-License-Identifier: Apache-2.0
/*
 * How fast the TSC runs: Linux is told, since it finds no PIT, HPET or PM timer to ask. Where the
 * processor does not say, the chipset's PM timer (ACPI 6.5, 4.8.3.3) tells within 20 ms what a wait
 * of the firmware's tells within a third of a second; who disagrees with a short one is not believed.
 */
#include <stub/gate/register.h>
#include <stub/lib/acpi_tables.h>
#include <stub/lib/io.h>
#include <stub/lib/string.h>
#include <stub/lib/stub.h>
#include <stub/start/clock.h>

enum {
	CALIBRATION_US = 100000,
	CALIBRATION_RUNS = 3,
	ROUGH_US = 5000,
	ROUGH_RUNS = 3,
	ROUGH_PART = 8,			/* of the rate: so far may a short wait be off */

	FADT_PM_TIMER = 76,
	FADT_FLAGS = 112,
	FADT_X_PM_TIMER = 208,
	FADT_MIN = 116,
	FLAG_HW_REDUCED = 1 << 20,	/* there is none */
	PM_HZ = 3579545,
	PM_MASK = 0xffffff,		/* some have 32 bits, all have these */
	PM_COUNTS = PM_HZ / 50,
	PM_READS_MAX = 200000,		/* one that stands still */
	PM_TRIES = 5,
};

/* The PM timer at a moment. */
struct moment {
	u64 tsc;
	u32 count;
};

/* What the firmware's wait takes. */
static u64 khz_by_stall(u64 us)
{
	u64 start = pk_rdtsc();

	pk_bs->stall(us);
	return (pk_rdtsc() - start) * 1000 / us;
}

static bool find_pm_timer(struct pk_acpi_address *ret)
{
	struct pk_acpi_address found = { .space = PK_ACPI_IO }, extended = { 0 };
	const u8 *fadt;
	u32 value;
	u64 size;

	fadt = pk_acpi_find("FACP", 0, &size);
	if (!fadt || size < FADT_MIN)
		return false;
	memcpy(&value, fadt + FADT_FLAGS, sizeof(value));
	if (value & FLAG_HW_REDUCED)
		return false;
	memcpy(&value, fadt + FADT_PM_TIMER, sizeof(value));
	found.address = value;
	if (size >= FADT_X_PM_TIMER + PK_ACPI_ADDRESS_SIZE)
		pk_acpi_address(fadt + FADT_X_PM_TIMER, &extended);
	if (extended.address)
		found = extended;
	found.access = sizeof(u32);
	if (!pk_register_is_there(&found))
		return false;
	*ret = found;
	return true;
}

/* Of some tries the one that nothing came between. */
static struct moment now(const struct pk_acpi_address *timer)
{
	struct moment best = { 0 };
	u64 shortest = ~0ULL;

	for (u32 i = 0; i < PM_TRIES; i++) {
		u64 start = pk_rdtsc();
		u32 count = pk_register_read(timer);
		u64 end = pk_rdtsc();

		if (end - start >= shortest)
			continue;
		shortest = end - start;
		best = (struct moment){ start + shortest / 2, count };
	}
	return best;
}

/* 0: there is none that can be believed. */
static u64 khz_by_pm_timer(void)
{
	struct pk_acpi_address timer;
	struct moment first, last;
	u32 counts = 0;
	u64 khz;

	if (!find_pm_timer(&timer))
		return 0;
	first = now(&timer);
	for (u32 i = 0; counts < PM_COUNTS; i++) {
		if (i == PM_READS_MAX)
			return 0;
		counts = (pk_register_read(&timer) - first.count) & PM_MASK;
	}
	last = now(&timer);
	counts = (last.count - first.count) & PM_MASK;
	khz = (last.tsc - first.tsc) * PM_HZ / counts / 1000;
	/* What comes between makes a wait longer: one that agrees is enough. */
	for (u32 run = 0; run < ROUGH_RUNS; run++) {
		u64 rough = khz_by_stall(ROUGH_US);
		u64 difference = khz > rough ? khz - rough : rough - khz;

		if (difference <= rough / ROUGH_PART)
			return khz;
	}
	return 0;
}

u64 pk_tsc_khz(void)
{
	struct pk_cpuid crystal = pk_cpuid(0x15, 0);
	u64 best;

	if (crystal.eax && crystal.ebx && crystal.ecx)
		return (u64)crystal.ecx * crystal.ebx / crystal.eax / 1000;
	best = khz_by_pm_timer();
	if (best)
		return best;
	/* Whatever disturbs a measurement makes it longer: the smallest is nearest. */
	best = khz_by_stall(CALIBRATION_US);
	for (u32 run = 1; run < CALIBRATION_RUNS; run++) {
		u64 khz = khz_by_stall(CALIBRATION_US);

		if (khz < best)
			best = khz;
	}
	return best;
}
