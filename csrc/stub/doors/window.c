// SPDX-License-Identifier: Apache-2.0
/* The window's bell: descriptors that Linux' user space posts in shared memory are served when it rings. */
#include <stub/doors/operations.h>
#include <stub/doors/window.h>
#include <stub/gate/gate.h>
#include <stub/lib/string.h>
#include <stub/lib/stub.h>
#include <stub/services/window_memory.h>

/* Ours: Linux could set its counter back and have a descriptor served twice. */
static u32 served[PK_WINDOW_CHANNELS];

void pk_window_begin(void)
{
	memset(served, 0, sizeof(served));
	pk_window_prepare();
}

static struct pk_channel *channel_at(u32 number)
{
	return (struct pk_channel *)(pk_handoff.window.start + (number + 1) * PK_PAGE_SIZE);
}

static u64 size_of(const struct pk_descriptor *descriptor)
{
	return descriptor->size > descriptor->capacity ? descriptor->size : descriptor->capacity;
}

static bool data_is_inside(const struct pk_descriptor *descriptor)
{
	u64 window_size = pk_handoff.window.size;

	return descriptor->offset >= PK_WINDOW_DATA && descriptor->offset <= window_size &&
	       size_of(descriptor) <= window_size - descriptor->offset;
}

static u64 end_of(const struct pk_descriptor *descriptor)
{
	return descriptor->offset + size_of(descriptor);
}

static struct {
	bool have_timers;	/* in */
	bool served;		/* out: something was */
	bool left;		/* out: something waits for timers */
	bool needed_timers;	/* out: something that was served */
} round;

/* False: this one waits for a switch with timers. */
static bool serve(struct pk_descriptor *shared)
{
	struct pk_descriptor descriptor = *(volatile struct pk_descriptor *)shared;

	if (pk_descriptor_needs_timers(PK_CARRIER_WINDOW, &descriptor)) {
		if (!round.have_timers)
			return false;
		round.needed_timers = true;
	}
	if (data_is_inside(&descriptor)) {
		pk_window_used(end_of(&descriptor));
		pk_descriptor_serve(PK_CARRIER_WINDOW, &descriptor,
				    (u8 *)pk_handoff.window.start + descriptor.offset);
	} else {
		descriptor.status = EFI_INVALID_PARAMETER;
		descriptor.result = 0;
	}
	shared->result = descriptor.result;
	shared->status = descriptor.status;
	return true;
}

static efi_status_t serve_channels(void *unused)
{
	struct pk_window *window = (struct pk_window *)pk_handoff.window.start;

	(void)unused;
	round.served = false;
	round.left = false;
	round.needed_timers = false;
	for (u32 number = 0; number < PK_WINDOW_CHANNELS; number++) {
		struct pk_counters *counters = &window->counters[number];
		u32 posted = *(volatile u32 *)&counters->posted;

		/* More than there is room for: nothing of it can be believed. */
		if (posted - served[number] > PK_CHANNEL_DEPTH)
			served[number] = posted;
		while (served[number] != posted) {
			if (!serve(&channel_at(number)->descriptors[served[number] % PK_CHANNEL_DEPTH])) {
				round.left = true;
				break;
			}
			served[number]++;
			round.served = true;
		}
		if (counters->served != served[number])
			counters->served = served[number];
	}
	if (round.served)
		window->nr_bells++;
	return EFI_SUCCESS;
}

static void run(bool have_timers)
{
	round.have_timers = have_timers;
	if (have_timers)
		pk_gate_call(serve_channels, NULL);
	else
		pk_gate_call_lean(serve_channels, NULL);
}

bool pk_window_bell(void)
{
	/* Who needed timers rings again soon: then one switch does instead of two. */
	static bool expect_timers;
	bool any;

	if (!pk_window_is_open())
		return false;
	run(expect_timers);
	any = round.served;
	if (round.left) {
		run(true);
		any |= round.served;
	}
	expect_timers = round.needed_timers;
	return any;
}
