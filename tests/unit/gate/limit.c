// SPDX-License-Identifier: Apache-2.0
/*
 * A limit of three seconds on a firmware that is a program. Arguments: how many seconds each of the
 * calls takes in turn, with "n" behind it if what is called holds back all but TPL_NOTIFY, and "i" if
 * it is an image that is started. Prints what the limit tells, and when.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stub/gate/limit.h>
#include <stub/lib/stub.h>

enum { LIMIT_S = 3, OPERATION = 17, NR_EVENTS = 2 };

static struct {
	efi_tpl_t level;
	void (EFIAPI *notify)(efi_event_t, void *);
	void *context;
	u64 period;
} events[NR_EVENTS];
static u64 nr_events, nr_open;
static u32 seconds;

static EFIAPI efi_status_t create_event(u32 type, efi_tpl_t level, void (EFIAPI *notify)(efi_event_t, void *),
					void *context, efi_event_t *ret)
{
	(void)type;
	events[nr_events].level = level;
	events[nr_events].notify = notify;
	events[nr_events].context = context;
	*ret = &events[nr_events++];
	nr_open++;
	return EFI_SUCCESS;
}

static EFIAPI efi_status_t set_timer(efi_event_t event, u32 type, u64 period)
{
	(void)event;
	return type == EFI_TIMER_PERIODIC && period == 10000000 ? EFI_SUCCESS : EFI_INVALID_PARAMETER;
}

static EFIAPI efi_status_t close_event(efi_event_t event)
{
	(void)event;
	nr_open--;
	return EFI_SUCCESS;
}

static struct efi_boot_services services = {
	.create_event = create_event, .set_timer = set_timer, .close_event = close_event,
};
struct efi_boot_services *pk_bs = &services;

static void expired(u32 operation)
{
	printf("operation %u after %u s\n", operation, seconds);
}

static void second(efi_tpl_t held_back)
{
	for (u64 i = 0; i < nr_events; i++)
		if (events[i].level > held_back)
			events[i].notify(&events[i], events[i].context);
}

int main(int argc, char **argv)
{
	if (EFI_ERROR(pk_limit_begin(LIMIT_S, expired)))
		return 1;
	for (int i = 1; i < argc; i++) {
		efi_tpl_t held_back = strchr(argv[i], 'n') ? EFI_TPL_CALLBACK : EFI_TPL_APPLICATION;

		pk_limit_start();
		pk_limit_note(OPERATION);
		if (strchr(argv[i], 'i'))
			pk_limit_stop();
		for (seconds = 1; seconds <= (u32)atoi(argv[i]); seconds++)
			second(held_back);
		pk_limit_stop();
		/* Linux' turn, in which the firmware's time may go on. */
		second(EFI_TPL_APPLICATION);
	}
	pk_limit_end();
	printf("%llu events are left\n", (unsigned long long)nr_open);
	return 0;
}
