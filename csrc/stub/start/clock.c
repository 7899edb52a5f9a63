// SPDX-License-Identifier: Apache-2.0
/* How fast the TSC runs: Linux is told, since it finds no PIT, HPET or PM timer to ask. */
#include <stub/lib/io.h>
#include <stub/lib/stub.h>
#include <stub/start/clock.h>

enum { CALIBRATION_US = 100000, CALIBRATION_RUNS = 3 };

u64 pk_tsc_khz(void)
{
	struct pk_cpuid crystal = pk_cpuid(0x15, 0);
	u64 best = ~0ULL;

	if (crystal.eax && crystal.ebx && crystal.ecx)
		return (u64)crystal.ecx * crystal.ebx / crystal.eax / 1000;
	/* Whatever disturbs a measurement makes it longer: the smallest is nearest. */
	for (u32 run = 0; run < CALIBRATION_RUNS; run++) {
		u64 start = pk_rdtsc();
		u64 ticks;

		pk_bs->stall(CALIBRATION_US);
		ticks = pk_rdtsc() - start;
		if (ticks < best)
			best = ticks;
	}
	return best * 1000 / CALIBRATION_US;
}
