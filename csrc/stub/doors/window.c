// SPDX-License-Identifier: Apache-2.0
/* The window: descriptors that Linux' user space posts in shared memory, served when the bell rings. */
#include <stub/doors/operations.h>
#include <stub/doors/window.h>
#include <stub/gate/gate.h>
#include <stub/lib/console.h>
#include <stub/lib/string.h>
#include <stub/lib/stub.h>

enum { NR_WATCHED = 2 };

/* What the firmware gave, alignment slack included. */
static struct pk_range taken;
/* Ours: Linux could set its counter back and have a descriptor served twice. */
static u32 served[PK_WINDOW_CHANNELS];
static efi_event_t watches[NR_WATCHED];
/* Offset behind the last byte that data has passed through. */
static u64 used_end;

static void EFIAPI note_device(efi_event_t event, void *context)
{
	(void)event;
	(void)context;
	((struct pk_window *)pk_handoff.window.start)->nr_installed++;
}

/* Without these Linux looks at all handles now and then: no reason to fail. */
static void watch_devices(void)
{
	const efi_guid_t *protocols[NR_WATCHED] = { &efi_guid_block_io, &efi_guid_simple_network };
	void *registration;

	for (u32 i = 0; i < NR_WATCHED; i++)
		if (EFI_ERROR(pk_bs->create_event(EFI_EVT_NOTIFY_SIGNAL, EFI_TPL_CALLBACK, note_device, NULL,
						  &watches[i])) ||
		    EFI_ERROR(pk_bs->register_protocol_notify(protocols[i], watches[i], &registration)))
			pk_print("pykexec: devices that come later are found late\n");
}

void pk_window_allocate(void)
{
	u64 nr_pages = (PK_WINDOW_SIZE + PK_WINDOW_ALIGNMENT) / PK_PAGE_SIZE;
	u64 address = 0xffffffff;	/* DMA of old devices */
	struct pk_window *window;

	if (EFI_ERROR(pk_bs->allocate_pages(EFI_ALLOCATE_MAX_ADDRESS, EFI_LOADER_DATA, nr_pages, &address))) {
		pk_print("pykexec: no %d MiB for the window: data goes by the mailbox\n", (u64)PK_WINDOW_SIZE >> 20);
		return;
	}
	taken = (struct pk_range){ address, nr_pages * PK_PAGE_SIZE };
	address = (address + PK_WINDOW_ALIGNMENT - 1) & ~(u64)(PK_WINDOW_ALIGNMENT - 1);
	pk_handoff.window = (struct pk_range){ address, PK_WINDOW_SIZE };
	/* What lies here is the firmware's, and Linux reads it. */
	memset((void *)address, 0, PK_WINDOW_SIZE);
	window = (struct pk_window *)address;
	*window = (struct pk_window){
		.magic = PK_WINDOW_MAGIC,
		.version = PK_WINDOW_VERSION,
		.nr_channels = PK_WINDOW_CHANNELS,
		.size = PK_WINDOW_SIZE,
		.data = PK_WINDOW_DATA,
	};
	watch_devices();
}

void pk_window_wipe(void)
{
	if (used_end > PK_WINDOW_DATA)
		memset((void *)(pk_handoff.window.start + PK_WINDOW_DATA), 0, used_end - PK_WINDOW_DATA);
	used_end = 0;
}

void pk_window_wipe_all(void)
{
	if (pk_handoff.window.size)
		memset((void *)(pk_handoff.window.start + PK_PAGE_SIZE), 0, PK_WINDOW_SIZE - PK_PAGE_SIZE);
	used_end = 0;
}

void pk_window_release(void)
{
	if (!taken.size)
		return;
	for (u32 i = 0; i < NR_WATCHED; i++)
		if (watches[i])
			pk_bs->close_event(watches[i]);
	pk_window_wipe();
	pk_bs->free_pages(taken.start, taken.size / PK_PAGE_SIZE);
	taken = (struct pk_range){ 0, 0 };
	pk_handoff.window = taken;
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
	return descriptor->offset >= PK_WINDOW_DATA && descriptor->offset <= PK_WINDOW_SIZE &&
	       size_of(descriptor) <= PK_WINDOW_SIZE - descriptor->offset;
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
		if (end_of(&descriptor) > used_end)
			used_end = end_of(&descriptor);
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

	if (!pk_handoff.window.size)
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
