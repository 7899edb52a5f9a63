// SPDX-License-Identifier: Apache-2.0
/*
 * How long the firmware may take for one call of the gate: a driver that waits for a dead device for
 * ever has Linux stand still, and nobody else is there to see. Time is told by two timer events of
 * the firmware's, of which the second reaches code that has held back the first (7.1.8); no switch
 * pays for them. What hangs with interrupts off is beyond them.
 */
#include <stub/gate/limit.h>
#include <stub/lib/stub.h>

enum { NR_LEVELS = 2, SECOND = 10000000 /* of 100 ns */, LATER_S = 10 };

static const efi_tpl_t levels[NR_LEVELS] = { EFI_TPL_CALLBACK, EFI_TPL_NOTIFY };

static efi_event_t events[NR_LEVELS];
static u32 nr_seconds[NR_LEVELS];	/* of this switch, as far as the level was let through */
static u32 limit;
static u32 doing;
static bool is_running;
static void (*tell)(u32 operation);

static void EFIAPI count(efi_event_t event, void *context)
{
	u64 level = (u64)context;

	(void)event;
	if (!is_running || ++nr_seconds[level] < limit + level * LATER_S)
		return;
	is_running = false;
	tell(doing);
}

efi_status_t pk_limit_begin(u32 seconds, void (*expired)(u32 operation))
{
	efi_status_t status = EFI_SUCCESS;

	tell = expired;
	limit = seconds;
	for (u64 level = 0; limit && level < NR_LEVELS && !EFI_ERROR(status); level++) {
		status = pk_bs->create_event((u32)EFI_EVT_TIMER | EFI_EVT_NOTIFY_SIGNAL, levels[level], count,
					     (void *)level, &events[level]);
		if (!EFI_ERROR(status))
			status = pk_bs->set_timer(events[level], EFI_TIMER_PERIODIC, SECOND);
	}
	if (EFI_ERROR(status))
		pk_limit_end();
	return status;
}

void pk_limit_end(void)
{
	is_running = false;
	for (u32 level = 0; level < NR_LEVELS; level++) {
		if (events[level])
			pk_bs->close_event(events[level]);
		events[level] = NULL;
	}
}

void pk_limit_start(void)
{
	nr_seconds[0] = 0;
	nr_seconds[1] = 0;
	doing = 0;
	is_running = true;
}

void pk_limit_stop(void)
{
	is_running = false;
}

void pk_limit_note(u32 operation)
{
	doing = operation;
}
