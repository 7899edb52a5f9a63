// SPDX-License-Identifier: Apache-2.0
/* Numbers for the firmware's handles, and the one way from a number to an interface. */
#include <common/device_path.h>
#include <stub/gate/gate.h>
#include <stub/lib/console.h>
#include <stub/lib/string.h>
#include <stub/lib/stub.h>
#include <stub/lib/test.h>
#include <stub/services/identity.h>

enum {
	NR_CACHED = 4,
	NR_WATCHES = 3,
	NR_BOUND = 2,	/* the first watches' protocols: a number means one interface of each */
	DEVICE_PATH = NR_BOUND,
};

/* Who wears a number. */
struct bearer {
	u32 number;
	efi_handle_t handle;	/* NULL: retired */
	u64 path;		/* fingerprint */
	void *bound[NR_BOUND];	/* NULL until it was borrowed */
	struct pk_handle_notes notes;
};

/* By ascending number. */
static struct bearer bearers[PK_HANDLE_MAX];
static u32 nr_bearers, nr_retired;
static u32 last_number;		/* never given out twice */

/* What was borrowed last, good at one epoch of the gate. */
static struct {
	u32 number;
	const efi_guid_t *protocol;
	efi_handle_t handle;
	void *interface;
	u64 epoch;
} cached[NR_CACHED];

static struct watch {
	const efi_guid_t *protocol;
	efi_event_t event;
	void *registration;
} watches[NR_WATCHES] = {
	{ .protocol = &efi_guid_block_io },
	{ .protocol = &efi_guid_simple_network },
	{ .protocol = &efi_guid_device_path },
};
static void (*tell_of_device)(void);

static struct bearer *bearer_of(u32 number)
{
	u32 low = 0, high = nr_bearers;

	while (low < high) {
		u32 middle = (low + high) / 2;

		if (bearers[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	if (!number || low == nr_bearers || bearers[low].number != number || !bearers[low].handle)
		return NULL;
	return &bearers[low];
}

static struct bearer *bearer_with(efi_handle_t handle)
{
	for (u32 i = 0; handle && i < nr_bearers; i++)
		if (bearers[i].handle == handle)
			return &bearers[i];
	return NULL;
}

void pk_interfaces_forget(void)
{
	for (u32 i = 0; i < NR_CACHED; i++)
		pk_test_forget(cached[i].number = 0);
}

static void retire(struct bearer *bearer)
{
	pk_test_retire(*bearer = (struct bearer){ .number = bearer->number });
	nr_retired++;
	pk_interfaces_forget();
}

static void drop_retired(void)
{
	u32 nr_left = 0;

	for (u32 i = 0; i < nr_bearers; i++)
		if (bearers[i].handle)
			bearers[nr_left++] = bearers[i];
	nr_bearers = nr_left;
	nr_retired = 0;
}

/* FNV-1a: told by events of what comes in the place of something else, we look twice. */
static u64 fingerprint(const void *path)
{
	u64 size = path ? pk_device_path_size(path, PK_DEVICE_PATH_MAX) : 0;
	u64 hash = 0xcbf29ce484222325;
	const u8 *bytes = path;

	for (u64 i = 0; i < size; i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3;
	return hash;
}

u32 pk_handle_number(efi_handle_t handle, const void *device_path)
{
	struct bearer *bearer = bearer_with(handle);
	u64 path = fingerprint(device_path);

	if (!handle)
		return 0;
	if (bearer && bearer->path == path)
		return bearer->number;
	if (bearer)
		retire(bearer);
	if (nr_retired > nr_bearers / 2 || nr_bearers == PK_HANDLE_MAX)
		drop_retired();
	if (nr_bearers == PK_HANDLE_MAX || last_number == ~0u)
		return 0;
	bearers[nr_bearers++] = (struct bearer){ .number = ++last_number, .handle = handle, .path = path };
	return last_number;
}

void pk_handles_sweep(efi_handle_t *present, u64 nr_present)
{
	for (u32 i = 0; i < nr_bearers; i++) {
		u64 n = 0;

		while (n < nr_present && present[n] != bearers[i].handle)
			n++;
		if (n == nr_present && bearers[i].handle)
			retire(&bearers[i]);
	}
}

struct pk_handle_notes *pk_handle_notes(u32 number)
{
	struct bearer *bearer = bearer_of(number);

	return bearer ? &bearer->notes : NULL;
}

u32 pk_handle_after(u32 number)
{
	for (u32 i = 0; i < nr_bearers; i++)
		if (bearers[i].handle && bearers[i].number > number)
			return bearers[i].number;
	return 0;
}

efi_tpl_t pk_handles_hold(void)
{
	return pk_bs->raise_tpl(pk_test_hold(EFI_TPL_CALLBACK));
}

void pk_handles_release(efi_tpl_t tpl)
{
	pk_bs->restore_tpl(tpl);
}

/* Firmware may follow a stale pointer: it is asked only about handles that it lists now. */
static bool is_listed(efi_handle_t handle, const efi_guid_t *protocol)
{
	efi_handle_t *present;
	bool found = false;
	u64 nr_present;

	if (EFI_ERROR(pk_bs->locate_handle_buffer(EFI_BY_PROTOCOL, protocol, NULL, &nr_present, &present)))
		return false;
	for (u64 i = 0; i < nr_present && !found; i++)
		found = present[i] == handle;
	pk_bs->free_pool(present);
	return found;
}

/* Where the bearer's one interface of a protocol is kept in mind; NULL: there may be others in the course of time. */
static void **bound_of(struct bearer *bearer, const efi_guid_t *protocol)
{
	for (u32 i = 0; i < NR_BOUND; i++)
		if (pk_guid_equal(watches[i].protocol, protocol))
			return &bearer->bound[i];
	return NULL;
}

static efi_status_t look_up(struct bearer *bearer, const efi_guid_t *protocol, void **ret)
{
	void **bound = bound_of(bearer, protocol), *interface, *path = NULL;

	if (!is_listed(bearer->handle, protocol)) {
		if (bound && *bound)
			retire(bearer);
		return EFI_NOT_FOUND;
	}
	if (EFI_ERROR(pk_bs->handle_protocol(bearer->handle, protocol, &interface)))
		return EFI_NOT_FOUND;
	pk_bs->handle_protocol(bearer->handle, &efi_guid_device_path, &path);
	if (fingerprint(path) != bearer->path || (bound && *bound && *bound != interface)) {
		retire(bearer);
		return EFI_NOT_FOUND;
	}
	if (bound)
		*bound = interface;
	*ret = interface;
	return EFI_SUCCESS;
}

static efi_status_t resolve(u32 number, const efi_guid_t *protocol, struct pk_interface *ret)
{
	u64 epoch = pk_gate_epoch();
	struct bearer *bearer = bearer_of(number);
	efi_status_t status;

	if (!bearer)
		return EFI_NOT_FOUND;
	ret->handle = bearer->handle;
	for (u32 i = 0; i < NR_CACHED; i++)
		if (cached[i].number == number && cached[i].protocol == protocol && cached[i].epoch == epoch) {
			ret->any = cached[i].interface;
			return EFI_SUCCESS;
		}
	status = look_up(bearer, protocol, &ret->any);
	if (EFI_ERROR(status))
		return status;
	cached[number % NR_CACHED].number = number;
	cached[number % NR_CACHED].protocol = protocol;
	cached[number % NR_CACHED].interface = ret->any;
	cached[number % NR_CACHED].epoch = epoch;
	return EFI_SUCCESS;
}

efi_status_t pk_interface_borrow(u32 number, const efi_guid_t *protocol, struct pk_interface *ret)
{
	efi_tpl_t tpl = pk_handles_hold();
	efi_status_t status = resolve(number, protocol, ret);

	ret->tpl = tpl;
	if (EFI_ERROR(status))
		pk_handles_release(tpl);
	return status;
}

void pk_interface_return(const struct pk_interface *interface)
{
	pk_handles_release(interface->tpl);
}

efi_status_t pk_interface_reinstall(u32 number, const efi_guid_t *protocol)
{
	struct pk_interface interface;
	efi_status_t status;

	status = pk_interface_borrow(number, protocol, &interface);
	if (EFI_ERROR(status))
		return status;
	status = pk_bs->reinstall_protocol_interface(interface.handle, protocol, interface.any, interface.any);
	pk_interface_return(&interface);
	pk_interfaces_forget();
	return status;
}

/* The next handle that the watch has not told of; NULL when there is none. */
static efi_handle_t next_installed(const struct watch *watch)
{
	u64 size = sizeof(efi_handle_t);
	efi_handle_t handle;

	if (EFI_ERROR(pk_bs->locate_handle(EFI_BY_REGISTER_NOTIFY, NULL, watch->registration, &size, &handle)))
		return NULL;
	return handle;
}

/*
 * A handle that gets a device path is a new one: whatever wore a number at that address, this is
 * something else. An interface alone comes again when its medium has changed or its driver was
 * started anew, on the same device.
 */
static void EFIAPI note_installed(efi_event_t event, void *context)
{
	struct watch *watch = context;

	(void)event;
	pk_interfaces_forget();
	for (u32 i = 0; i < PK_HANDLE_MAX; i++) {
		efi_handle_t handle = next_installed(watch);
		struct bearer *bearer = bearer_with(handle);

		if (!handle)
			break;
		if (bearer && watch == &watches[DEVICE_PATH])
			retire(bearer);
	}
	if (tell_of_device && watch != &watches[DEVICE_PATH])
		tell_of_device();
}

void pk_handles_watch(void (*tell)(void))
{
	tell_of_device = tell;
	for (u32 i = 0; i < NR_WATCHES; i++) {
		if (EFI_ERROR(pk_bs->create_event(EFI_EVT_NOTIFY_SIGNAL, EFI_TPL_CALLBACK, note_installed,
						  &watches[i], &watches[i].event)) ||
		    EFI_ERROR(pk_bs->register_protocol_notify(watches[i].protocol, watches[i].event,
							      &watches[i].registration)))
			pk_print("pykexec: devices that come later are found late\n");
		/* What is there already counts as news to begin with (EDK II: MdeModulePkg/Core/Dxe/Hand/Notify.c). */
		while (watches[i].registration && next_installed(&watches[i]))
			continue;
	}
}

void pk_handles_unwatch(void)
{
	for (u32 i = 0; i < NR_WATCHES; i++)
		if (watches[i].event)
			pk_bs->close_event(watches[i].event);
}
