// SPDX-License-Identifier: Apache-2.0
/* The machine's watchdogs that the firmware has armed. */
#include <stub/gate/bmc.h>
#include <stub/gate/tco.h>
#include <stub/gate/watchdog.h>
#include <stub/gate/wdat.h>
#include <stub/gate/wdrt.h>
#include <stub/lib/console.h>

void pk_watchdogs_tell(void)
{
	pk_bmc_tell();
	if (pk_tco_runs_on() || pk_wdat_runs_on())
		pk_print("pykexec: the chipset's watchdog is locked: it will reset a Linux that is long at rest\n");
}

void pk_watchdogs_stop(void)
{
	pk_bmc_halt();
	pk_watchdogs_halt();
}

void pk_watchdogs_halt(void)
{
	pk_wdat_halt();
	pk_wdrt_halt();
	pk_tco_halt();
}

void pk_watchdogs_run(void)
{
	pk_wdat_run();
	pk_wdrt_run();
	pk_tco_run();
}
