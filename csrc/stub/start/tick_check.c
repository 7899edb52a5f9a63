// SPDX-License-Identifier: Apache-2.0
/*
 * Does the firmware's time go on, once Linux has had its turn? If not, drivers that wait for a
 * timer event wait for ever, and so does the boot manager afterwards: better no Linux.
 */
#include <stub/gate/hardware.h>
#include <stub/gate/state.h>
#include <stub/gate/tick.h>
#include <stub/lib/console.h>
#include <stub/lib/io.h>
#include <stub/lib/stub.h>
#include <stub/lib/test.h>
#include <stub/start/tick_check.h>

enum {
	NR_TICKS = 2,
	STEP_US = 1000,
	NR_STEPS_MAX = 3000,	/* of a tick every 55 ms, the 8254's slowest, there are 50 */
	NR_PERIODS_AWAY = 2,
	PERIOD_MAX_MS = 110,	/* what is longer is not the timer's, but a busy machine's */
};

static volatile u64 tick_tsc[NR_TICKS];
static volatile u32 nr_ticks;

static void EFIAPI tick(efi_event_t event, void *context)
{
	(void)event;
	(void)context;
	if (nr_ticks < NR_TICKS)
		tick_tsc[nr_ticks++] = pk_rdtsc();
}

static efi_status_t wait_for_ticks(void)
{
	nr_ticks = 0;
	for (u32 step = 0; nr_ticks < NR_TICKS; step++) {
		if (step == NR_STEPS_MAX)
			return EFI_TIMEOUT;
		pk_bs->stall(STEP_US);
	}
	return EFI_SUCCESS;
}

/* As the gate leaves the firmware's world, and comes back. */
static void keep_waiting(u64 tsc)
{
	u64 start;
	u32 eois;

	pk_state_leave_firmware();
	for (start = pk_rdtsc(); pk_rdtsc() - start < tsc;)
		;
	pk_tick_learn();
	pk_drain_interrupts(&eois);
	pk_state_enter_firmware();
}

static u64 tsc_to_wait(void)
{
	u64 period = tick_tsc[1] - tick_tsc[0], max = PERIOD_MAX_MS * pk_handoff.tsc_khz;

	return NR_PERIODS_AWAY * (period < max ? period : max);
}

efi_status_t pk_tick_check(void)
{
	efi_event_t event;
	efi_status_t status;

	status = pk_bs->create_event((u32)EFI_EVT_TIMER | EFI_EVT_NOTIFY_SIGNAL, EFI_TPL_CALLBACK, tick, NULL,
				     &event);
	if (EFI_ERROR(status))
		return status;
	/* 0: with every tick (7.1.7). */
	status = pk_bs->set_timer(event, EFI_TIMER_PERIODIC, 0);
	if (!EFI_ERROR(status))
		status = wait_for_ticks();
	if (EFI_ERROR(status)) {
		pk_print("pykexec: no timer events come from this firmware: its drivers could not be used\n");
	} else {
		keep_waiting(tsc_to_wait());
		status = pk_test_tick_check(wait_for_ticks());
		if (EFI_ERROR(status))
			pk_print("pykexec: this firmware's timer would stop for good while Linux runs\n");
	}
	pk_bs->close_event(event);
	return status;
}
