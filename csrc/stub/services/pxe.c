// SPDX-License-Identifier: Apache-2.0
/* The firmware's PXE base code: its packets for Linux, and its state again for the payload behind it. */
#include <common/device_path.h>
#include <common/dhcp.h>
#include <stub/lib/console.h>
#include <stub/lib/string.h>
#include <stub/lib/stub.h>
#include <stub/lib/test.h>
#include <stub/services/identity.h>
#include <stub/services/pxe.h>

enum {
	NR_SAVED = 16,	/* NICs times IPv4 and IPv6 */
	END_SIZE = sizeof(struct efi_device_path),
};

/* Handles of base code come and go with the drivers above the NIC: only the path stays. */
struct saved {
	u32 handle;
	bool routeless;	/* restored, but its base code knows no router, and has servers behind one */
	u64 path_size;
	u8 path[PK_DEVICE_PATH_MAX] __attribute__((aligned(8)));
	struct efi_pxe_base_code_mode mode;
};

static struct saved *table[NR_SAVED];

bool pk_path_has_prefix(const void *path, u64 size, const struct efi_device_path *prefix)
{
	u64 prefix_size = pk_device_path_size(prefix, PK_DEVICE_PATH_MAX);

	return prefix_size && prefix_size <= size && !memcmp(path, prefix, prefix_size - END_SIZE);
}

static void save(efi_handle_t handle, const struct efi_device_path *nic_path)
{
	struct efi_pxe_base_code *pxe;
	struct saved *entry;
	void *path;
	u64 size;
	u32 free = 0;

	if (EFI_ERROR(pk_bs->handle_protocol(handle, &efi_guid_pxe_base_code, (void **)&pxe)) ||
	    EFI_ERROR(pk_bs->handle_protocol(handle, &efi_guid_device_path, &path)))
		return;
	size = pk_device_path_size(path, PK_DEVICE_PATH_MAX);
	if (!size || !pxe->mode->started || (nic_path && !pk_path_has_prefix(path, size, nic_path)))
		return;
	while (free < NR_SAVED && table[free])
		free++;
	if (free == NR_SAVED ||
	    EFI_ERROR(pk_bs->allocate_pool(EFI_BOOT_SERVICES_DATA, sizeof(*entry), (void **)&entry)))
		return;
	entry->handle = pk_handle_number(handle, path);
	entry->routeless = false;
	entry->path_size = size;
	memcpy(entry->path, path, size);
	memcpy(&entry->mode, pxe->mode, sizeof(entry->mode));
	table[free] = entry;
}

void pk_pxe_save(const struct efi_device_path *nic_path)
{
	efi_handle_t *handles;
	u64 nr_handles;

	for (u32 i = 0; i < NR_SAVED; i++) {
		if (!table[i] || (nic_path && !pk_path_has_prefix(table[i]->path, table[i]->path_size, nic_path)))
			continue;
		pk_bs->free_pool(table[i]);
		table[i] = NULL;
	}
	if (EFI_ERROR(pk_bs->locate_handle_buffer(EFI_BY_PROTOCOL, &efi_guid_pxe_base_code, NULL, &nr_handles,
						  &handles)))
		return;
	for (u64 i = 0; i < nr_handles; i++)
		save(handles[i], nic_path);
	pk_bs->free_pool(handles);
}

void pk_pxe_save_of(u32 number)
{
	struct pk_interface interface;

	if (EFI_ERROR(pk_interface_borrow(number, &efi_guid_device_path, &interface)))
		return;
	pk_pxe_save(interface.path);
	pk_interface_return(&interface);
}

/* Anew for every call: each lets the firmware's timers run, since IPv6 waits for them. */
static efi_status_t find_base_code(struct saved *entry, struct efi_pxe_base_code **ret)
{
	struct efi_device_path *rest = (void *)entry->path;
	efi_handle_t handle;
	efi_status_t status;

	status = pk_bs->locate_device_path(&efi_guid_pxe_base_code, &rest, &handle);
	if (EFI_ERROR(status) || rest->type != EFI_DP_END)
		return EFI_NOT_FOUND;
	return pk_bs->handle_protocol(handle, &efi_guid_pxe_base_code, (void **)ret);
}

/* What the firmware fetches comes from one of these; who has none of them on the link needs a router. */
static bool is_behind_router(const struct efi_pxe_base_code_mode *mode)
{
	const struct {
		bool received;
		const struct efi_pxe_base_code_packet *packet;
	} packets[] = {
		{ mode->dhcp_ack_received, &mode->dhcp_ack },
		{ mode->proxy_offer_received, &mode->proxy_offer },
		{ mode->pxe_reply_received, &mode->pxe_reply },
	};

	if (mode->using_ipv6 || !mode->dhcp_ack_received ||
	    !pk_dhcp_address(&mode->dhcp_ack, sizeof(mode->dhcp_ack), PK_DHCP_ROUTER))
		return false;
	for (u32 i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
		u32 server = packets[i].received ?
				     pk_dhcp_boot_server(packets[i].packet, sizeof(*packets[i].packet)) :
				     0;

		if (server && (server ^ mode->station_ip.words[0]) & mode->subnet_mask.words[0])
			return true;
	}
	return false;
}

static efi_status_t set_state(struct saved *entry)
{
	struct efi_pxe_base_code_mode *mode = &entry->mode;
	struct efi_pxe_base_code *pxe;
	efi_status_t status;

	status = find_base_code(entry, &pxe);
	if (EFI_ERROR(status))
		return status;
	status = pxe->set_packets(pxe, &mode->dhcp_discover_valid, &mode->dhcp_ack_received,
				  &mode->proxy_offer_received, &mode->pxe_discover_valid, &mode->pxe_reply_received,
				  &mode->pxe_bis_reply_received, &mode->dhcp_discover, &mode->dhcp_ack,
				  &mode->proxy_offer, &mode->pxe_discover, &mode->pxe_reply, &mode->pxe_bis_reply);
	if (!EFI_ERROR(status))
		status = find_base_code(entry, &pxe);
	if (EFI_ERROR(status))
		return status;
	return pxe->set_station_ip(pxe, &mode->station_ip, &mode->subnet_mask);
}

static efi_status_t restore(struct saved *entry)
{
	struct efi_pxe_base_code *pxe;
	efi_status_t status;

	status = find_base_code(entry, &pxe);
	if (EFI_ERROR(status) || pxe->mode->started)
		return status;
	status = pxe->start(pxe, entry->mode.using_ipv6);
	if (!EFI_ERROR(status))
		status = set_state(entry);
	if (!EFI_ERROR(status))
		entry->routeless = is_behind_router(&entry->mode);
	return status;
}

/*
 * No call tells base code of a router: EDK II takes it from DHCP's answer, and from nowhere else. So it
 * asks again; who is given another address goes on with that.
 */
static efi_status_t find_router(struct saved *entry)
{
	const u32 had = entry->mode.station_ip.words[0];
	struct efi_pxe_base_code *pxe;
	efi_status_t status, asked;

	status = find_base_code(entry, &pxe);
	if (EFI_ERROR(status))
		return status;
	asked = pxe->dhcp(pxe, true);
	status = find_base_code(entry, &pxe);
	if (EFI_ERROR(status))
		return status;
	if (EFI_ERROR(asked) || pxe->mode->station_ip.words[0] == had)
		status = set_state(entry);
	return EFI_ERROR(asked) ? asked : status;
}

static bool is_of(const struct saved *entry, u32 number)
{
	struct pk_interface interface;
	bool found;

	if (EFI_ERROR(pk_interface_borrow(number, &efi_guid_device_path, &interface)))
		return false;
	found = pk_path_has_prefix(entry->path, entry->path_size, interface.path);
	pk_interface_return(&interface);
	return found;
}

void pk_pxe_restore(u32 number)
{
	for (u32 i = 0; i < NR_SAVED; i++) {
		efi_status_t status;

		if (!table[i] || !is_of(table[i], number))
			continue;
		status = pk_test_pxe(restore(table[i]));
		if (EFI_ERROR(status))
			pk_print("pykexec: the firmware's PXE state is lost (%x)\n", status);
	}
}

void pk_pxe_find_routers(void)
{
	for (u32 i = 0; i < NR_SAVED; i++) {
		efi_status_t status;

		if (!table[i] || !table[i]->routeless)
			continue;
		table[i]->routeless = false;
		status = pk_test_router(find_router(table[i]));
		if (EFI_ERROR(status))
			pk_print("pykexec: the firmware's PXE has no router (%x)\n", status);
	}
}

/* number may be the NIC's, or that of one of the handles which its drivers made for IPv4 and IPv6. */
static const struct saved *find(u32 number)
{
	const struct saved *found = NULL;

	for (u32 i = 0; i < NR_SAVED; i++) {
		const struct saved *entry = table[i];

		if (!entry || (entry->handle != number && !is_of(entry, number)))
			continue;
		if (!found || (entry->mode.dhcp_ack_received && !found->mode.dhcp_ack_received))
			found = entry;
	}
	return found;
}

efi_status_t pk_net_pxe(struct pk_call *call)
{
	const struct pk_handle_request *request = call->body;
	const struct saved *entry = find(request->handle);
	const struct efi_pxe_base_code_mode *mode;
	struct pk_net_pxe *reply = call->answer;

	if (!entry)
		return EFI_NOT_FOUND;
	if (call->capacity < sizeof(*reply))
		return EFI_BUFFER_TOO_SMALL;
	mode = &entry->mode;
	memset(reply, 0, sizeof(*reply));
	reply->flags = PK_PXE_STARTED | (mode->using_ipv6 ? PK_PXE_IPV6 : 0) |
		       (mode->dhcp_ack_received ? PK_PXE_DHCP_ACK : 0) |
		       (mode->proxy_offer_received ? PK_PXE_PROXY_OFFER : 0) |
		       (mode->pxe_reply_received ? PK_PXE_REPLY : 0);
	memcpy(reply->station_ip, &mode->station_ip, sizeof(reply->station_ip));
	memcpy(reply->subnet_mask, &mode->subnet_mask, sizeof(reply->subnet_mask));
	memcpy(reply->dhcp_ack, &mode->dhcp_ack, sizeof(reply->dhcp_ack));
	memcpy(reply->proxy_offer, &mode->proxy_offer, sizeof(reply->proxy_offer));
	memcpy(reply->pxe_reply, &mode->pxe_reply, sizeof(reply->pxe_reply));
	call->answered = sizeof(*reply);
	return EFI_SUCCESS;
}
