// SPDX-License-Identifier: Apache-2.0
/* The world's time: priorities, events, timers, and what is planned to happen. */

#include "../fuzz.h"
#include "devices.h"

enum {
	NR_EVENTS = 16,
	NR_REGISTRATIONS = 8,
	NR_NEWS = 64,
	NR_PLANS = 4,
};

struct event {
	bool used;
	bool pending;
	void (EFIAPI *notify)(efi_event_t, void *);
	void *context;
};

/* What has come since the last look, for who registered. */
struct registration {
	const efi_guid_t *protocol;
	struct event *event;
	struct device *news[NR_NEWS];
	u32 nr_news;
};

static struct event events[NR_EVENTS];
static struct registration registrations[NR_REGISTRATIONS];
static struct {
	u32 delay;
	enum world_action action;
	u32 which;
} plans[NR_PLANS];
static efi_tpl_t tpl;
static bool entered, timers_run, moving;

static void dispatch(void)
{
	if (tpl >= EFI_TPL_CALLBACK)
		return;
	for (u32 i = 0; i < NR_EVENTS; i++) {
		if (!events[i].used || !events[i].pending)
			continue;
		events[i].pending = false;
		tpl = EFI_TPL_CALLBACK;
		events[i].notify(&events[i], events[i].context);
		tpl = EFI_TPL_APPLICATION;
	}
}

static void act(enum world_action action, u32 which)
{
	struct device *device = devices_at(which % NR_DEVICES);

	switch (action) {
	case WORLD_PLUG:
		devices_plug(which % WORLD_PLUGGED, which / WORLD_PLUGGED, 0, 0);
		break;
	case WORLD_UNPLUG:
		if (device && !device->parent && device->kind < WORLD_RAM_DISK)
			devices_unplug(device);
		break;
	case WORLD_SWAP:
		if (device)
			devices_swap(device);
		break;
	case WORLD_STICK:
		if (device)
			device->stuck = true;
		break;
	default:
		break;
	}
}

/* The driver alone finds out, whoever's timers stand still. */
static bool is_medium(u32 i)
{
	return plans[i].action == WORLD_MEDIUM;
}

/* Time goes by: what is due happens if the firmware's own handlers get to run. */
void world_returns(void)
{
	if (moving)
		return;
	moving = true;
	for (u32 i = 0; i < NR_PLANS; i++) {
		if (!plans[i].action || (plans[i].delay && --plans[i].delay))
			continue;
		if (is_medium(i)) {
			struct device *device = devices_at(plans[i].which % NR_DEVICES);

			if (device && device->media.removable_media)
				device->new_medium = true;
		} else if (timers_run && tpl < EFI_TPL_CALLBACK) {
			act(plans[i].action, plans[i].which);
		} else {
			continue;
		}
		plans[i].action = WORLD_NOTHING;
	}
	moving = false;
	dispatch();
}

bool world_plan(u32 delay, enum world_action action, u32 which)
{
	for (u32 i = 0; i < NR_PLANS; i++) {
		if (plans[i].action)
			continue;
		plans[i].delay = delay;
		plans[i].action = action;
		plans[i].which = which;
		return true;
	}
	return false;
}

void world_enter(bool with_timers)
{
	FUZZ_CHECK(!entered && tpl == EFI_TPL_APPLICATION);
	entered = true;
	timers_run = with_timers;
	world_returns();
}

void world_leave(void)
{
	world_returns();
	/* What was borrowed was returned. */
	FUZZ_CHECK(entered && tpl == EFI_TPL_APPLICATION);
	entered = false;
	timers_run = false;
}

static bool waits_for_timers(const struct device *device)
{
	return device->kind == WORLD_RAID || device->kind == WORLD_USB_DISK || device->kind == WORLD_USB_NIC;
}

void world_called(const struct device *device)
{
	/* It would wait for ever. */
	FUZZ_CHECK(entered && (timers_run || !waits_for_timers(device)));
}

void world_signal(const efi_guid_t *protocol, struct device *device)
{
	for (u32 i = 0; i < NR_REGISTRATIONS; i++) {
		struct registration *registration = &registrations[i];

		if (!registration->event || memcmp(registration->protocol, protocol, sizeof(*protocol)))
			continue;
		if (registration->nr_news < NR_NEWS)
			registration->news[registration->nr_news++] = device;
		registration->event->pending = true;
	}
	/* Entered from a driver at whatever priority: who may be told now is told. */
	if (!moving)
		dispatch();
}

void world_forget(struct device *device)
{
	for (u32 i = 0; i < NR_REGISTRATIONS; i++) {
		struct registration *registration = &registrations[i];
		u32 nr_left = 0;

		for (u32 k = 0; k < registration->nr_news; k++)
			if (registration->news[k] != device)
				registration->news[nr_left++] = registration->news[k];
		registration->nr_news = nr_left;
	}
}

static efi_tpl_t EFIAPI raise_tpl(efi_tpl_t to)
{
	efi_tpl_t from = tpl;

	FUZZ_CHECK(to >= from);
	world_returns();
	tpl = to;
	return from;
}

static void EFIAPI restore_tpl(efi_tpl_t to)
{
	FUZZ_CHECK(to <= tpl);
	tpl = to;
	world_returns();
}

static efi_status_t EFIAPI create_event(u32 type, efi_tpl_t level, void (EFIAPI *notify)(efi_event_t, void *),
					void *context, efi_event_t *event)
{
	(void)type;
	(void)level;
	for (u32 i = 0; i < NR_EVENTS; i++) {
		if (events[i].used)
			continue;
		events[i] = (struct event){ true, false, notify, context };
		*event = &events[i];
		return EFI_SUCCESS;
	}
	return EFI_OUT_OF_RESOURCES;
}

static efi_status_t EFIAPI close_event(efi_event_t event)
{
	for (u32 i = 0; i < NR_REGISTRATIONS; i++)
		if (registrations[i].event == event)
			registrations[i] = (struct registration){ 0 };
	*(struct event *)event = (struct event){ 0 };
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI set_timer(efi_event_t event, u32 type, u64 trigger)
{
	(void)type;
	(void)trigger;
	((struct event *)event)->pending = true;
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI stall(u64 us)
{
	(void)us;
	world_returns();
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI register_protocol_notify(const efi_guid_t *protocol, efi_event_t event, void **ret)
{
	for (u32 i = 0; i < NR_REGISTRATIONS; i++) {
		if (registrations[i].event)
			continue;
		registrations[i] = (struct registration){ .protocol = protocol, .event = event };
		/* As EDK II does: what is there already is news to who has just registered, but no event. */
		for (u32 n = 0; devices_at(n); n++)
			if (devices_interface(devices_at(n), protocol))
				registrations[i].news[registrations[i].nr_news++] = devices_at(n);
		*ret = &registrations[i];
		return EFI_SUCCESS;
	}
	return EFI_OUT_OF_RESOURCES;
}

static efi_status_t EFIAPI locate_handle(u32 type, const efi_guid_t *protocol, void *key, u64 *size,
					 efi_handle_t *handle)
{
	struct registration *registration = key;

	(void)protocol;
	FUZZ_CHECK(type == EFI_BY_REGISTER_NOTIFY && *size >= sizeof(*handle));
	if (!registration->nr_news)
		return EFI_NOT_FOUND;
	*handle = registration->news[0];
	*size = sizeof(*handle);
	registration->nr_news--;
	memmove(registration->news, registration->news + 1, registration->nr_news * sizeof(registration->news[0]));
	return EFI_SUCCESS;
}

void time_reset(void)
{
	memset(events, 0, sizeof(events));
	memset(registrations, 0, sizeof(registrations));
	memset(plans, 0, sizeof(plans));
	tpl = EFI_TPL_APPLICATION;
	entered = false;
	timers_run = false;
	moving = false;
}

void time_fill(struct efi_boot_services *boot)
{
	boot->raise_tpl = raise_tpl;
	boot->restore_tpl = restore_tpl;
	boot->create_event = create_event;
	boot->set_timer = set_timer;
	boot->close_event = close_event;
	boot->stall = stall;
	boot->register_protocol_notify = register_protocol_notify;
	boot->locate_handle = locate_handle;
}
