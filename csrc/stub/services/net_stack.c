// SPDX-License-Identifier: Apache-2.0
/* The firmware's own network stack, which holds the NICs: it is to be on those that it was on before Linux. */
#include <common/device_path.h>
#include <stub/lib/string.h>
#include <stub/lib/stub.h>
#include <stub/services/identity.h>
#include <stub/services/net_stack.h>
#include <stub/services/pxe.h>

enum { NR_CONNECTED = 32 };

/* Device paths of the NICs that had drivers before Linux. */
static const struct efi_device_path *connected[NR_CONNECTED];
static u32 nr_connected;

static efi_handle_t *list_nics(u64 *ret_nr)
{
	efi_handle_t *handles;

	*ret_nr = 0;
	if (EFI_ERROR(pk_bs->locate_handle_buffer(EFI_BY_PROTOCOL, &efi_guid_simple_network, NULL, ret_nr, &handles)))
		return NULL;
	return handles;
}

/* Or does it lead further down the path of one, as those of the handles that the stack makes for itself do? */
static bool was_connected(const void *path)
{
	u64 size = path ? pk_device_path_size(path, PK_DEVICE_PATH_MAX) : 0;

	for (u32 i = 0; i < nr_connected; i++)
		if (pk_path_has_prefix(path, size, connected[i]))
			return true;
	return false;
}

static void note_connected(efi_handle_t handle)
{
	void *path, *copy;
	u64 size;

	if (EFI_ERROR(pk_bs->handle_protocol(handle, &efi_guid_device_path, &path)))
		return;
	size = pk_device_path_size(path, PK_DEVICE_PATH_MAX);
	if (!size || EFI_ERROR(pk_bs->allocate_pool(EFI_BOOT_SERVICES_DATA, size, &copy)))
		return;
	memcpy(copy, path, size);
	connected[nr_connected++] = copy;
}

void pk_net_stack_init(void)
{
	efi_tpl_t tpl = pk_handles_hold();
	u64 nr_handles;
	efi_handle_t *handles = list_nics(&nr_handles);

	for (u64 i = 0; i < nr_handles && nr_connected < NR_CONNECTED; i++)
		note_connected(handles[i]);
	if (handles)
		pk_bs->free_pool(handles);
	pk_pxe_save(NULL);
	pk_handles_release(tpl);
}

void pk_net_stack_connect(u32 number)
{
	struct pk_interface interface;
	bool wanted;

	if (EFI_ERROR(pk_interface_borrow(number, &efi_guid_device_path, &interface)))
		return;
	wanted = was_connected(interface.path);
	pk_interface_return(&interface);
	if (!wanted)
		return;
	pk_bs->connect_controller(interface.handle, NULL, NULL, true);
	pk_pxe_restore(number);
}

/* Does the firmware's stack sit on this NIC? Not on what the stack itself shows of it on handles of its own. */
static bool has_stack(efi_handle_t handle)
{
	struct efi_open_protocol_information *openers;
	bool found = false;
	u64 nr_openers;

	if (EFI_ERROR(pk_bs->open_protocol_information(handle, &efi_guid_simple_network, (void **)&openers,
						       &nr_openers)))
		return false;
	for (u64 i = 0; i < nr_openers; i++)
		if (openers[i].attributes & EFI_OPEN_PROTOCOL_BY_DRIVER)
			found = true;
	pk_bs->free_pool(openers);
	return found;
}

/* A NIC with a stack that was not there before Linux. */
static efi_handle_t find_new_stack(void)
{
	efi_tpl_t tpl = pk_handles_hold();
	u64 nr_handles;
	efi_handle_t *handles = list_nics(&nr_handles), found = NULL;

	for (u64 i = 0; i < nr_handles && !found; i++) {
		void *path = NULL;

		pk_bs->handle_protocol(handles[i], &efi_guid_device_path, &path);
		if (!was_connected(path) && has_stack(handles[i]))
			found = handles[i];
	}
	if (handles)
		pk_bs->free_pool(handles);
	pk_handles_release(tpl);
	return found;
}

void pk_net_stack_quiet(void)
{
	efi_handle_t handle;

	/* The list is new each time, for with a stack its handles go. */
	for (u32 i = 0; i < NR_CONNECTED && (handle = find_new_stack()); i++)
		if (EFI_ERROR(pk_bs->disconnect_controller(handle, NULL, NULL)))
			break;
}
