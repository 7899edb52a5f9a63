// SPDX-License-Identifier: Apache-2.0
/* Simple Network for Linux: NICs taken from the firmware, frames exchanged in batches, NICs given back. */
#include <common/device_path.h>
#include <stub/gate/gate.h>
#include <stub/lib/string.h>
#include <stub/lib/stub.h>
#include <stub/services/handles.h>
#include <stub/services/net.h>
#include <stub/services/pxe.h>

enum {
	NR_NICS = 8,
	NR_CONNECTED = 32,
	/* Larger than any frame: what a driver cuts off it may have lost, and it is in the way of the next. */
	BOUNCE_SIZE = 65536,
	NR_PAGES = (PK_NET_SLOTS * PK_NET_SLOT_SIZE + BOUNCE_SIZE) / PK_PAGE_SIZE,
	HEADER_SIZE = 14,
	ADDRESS_MAX = 32,
	TAKE = EFI_OPEN_PROTOCOL_BY_DRIVER | EFI_OPEN_PROTOCOL_EXCLUSIVE,
};

struct nic {
	u32 handle;	/* 0: this record is free */
	u32 state;	/* in which the firmware's own stack left it */
	u64 epoch;	/* at which network was known to be there */
	struct efi_simple_network *network;
	u8 *buffers;	/* PK_NET_SLOTS of PK_NET_SLOT_SIZE to transmit from, then the bounce buffer */
	u64 in_flight;	/* bit n: the driver holds buffer n */
	struct pk_net_statistics statistics;
};
_Static_assert(PK_NET_SLOTS == 64, "in_flight has a bit for each");

static struct nic nics[NR_NICS];
/* Handle numbers of the NICs that had drivers before Linux: the firmware's own stack belongs on top of them. */
static u32 connected[NR_CONNECTED];
static u32 nr_connected;

static struct nic *find(u32 handle)
{
	for (u32 i = 0; i < NR_NICS; i++)
		if (nics[i].handle == handle)
			return &nics[i];
	return NULL;
}

/* The NIC that the request names, if Linux has it. */
static struct nic *find_named(const struct pk_call *call)
{
	const struct pk_handle_request *request = call->body;

	return request->handle ? find(request->handle) : NULL;
}

static u32 media_present(const struct efi_simple_network_mode *mode)
{
	return !mode->media_present_supported || mode->media_present;
}

efi_status_t pk_net_info(struct pk_call *call)
{
	const struct pk_handle_request *request = call->body;
	struct efi_simple_network *network;
	struct pk_net_info reply;
	efi_status_t status;

	status = pk_handle_lookup(request->handle, &efi_guid_simple_network, (void **)&network);
	if (EFI_ERROR(status))
		return status;
	reply = (struct pk_net_info){
		.state = network->mode->state,
		.media_present = media_present(network->mode),
		.address_size = network->mode->hw_address_size <= ADDRESS_MAX ? network->mode->hw_address_size : 0,
		.max_packet_size = network->mode->max_packet_size,
	};
	memcpy(reply.address, network->mode->current_address, reply.address_size);
	return pk_answer(call, &reply, sizeof(reply));
}

static efi_handle_t *list_nics(u64 *ret_nr)
{
	efi_handle_t *handles;

	*ret_nr = 0;
	if (EFI_ERROR(pk_bs->locate_handle_buffer(EFI_BY_PROTOCOL, &efi_guid_simple_network, NULL, ret_nr, &handles)))
		return NULL;
	return handles;
}

/* So do the handles that the stack makes for itself: new ones each time, further down the path. */
static bool was_connected(efi_handle_t handle)
{
	void *path = NULL, *prefix;
	u64 size;

	pk_bs->handle_protocol(handle, &efi_guid_device_path, &path);
	size = path ? pk_device_path_size(path, PK_DEVICE_PATH_MAX) : 0;
	for (u32 i = 0; i < nr_connected; i++)
		if (pk_handle_of(connected[i]) == handle ||
		    (!EFI_ERROR(pk_handle_lookup(connected[i], &efi_guid_device_path, &prefix)) &&
		     pk_path_has_prefix(path, size, prefix)))
			return true;
	return false;
}

void pk_net_init(void)
{
	u64 nr_handles;
	efi_handle_t *handles = list_nics(&nr_handles);

	nr_connected = 0;
	for (u64 i = 0; i < nr_handles && nr_connected < NR_CONNECTED; i++)
		connected[nr_connected++] = pk_handle_number(handles[i]);
	if (handles)
		pk_bs->free_pool(handles);
	pk_pxe_save(NULL);
}

/* Have the firmware's own stack come back, if it was there. */
static void reconnect(efi_handle_t handle)
{
	void *path;

	if (!was_connected(handle))
		return;
	pk_bs->connect_controller(handle, NULL, NULL, true);
	if (!EFI_ERROR(pk_bs->handle_protocol(handle, &efi_guid_device_path, &path)))
		pk_pxe_restore(path);
}

/* Shut down always: Windows' boot manager does not survive a NIC that still writes to memory. */
static efi_status_t quiesce(struct nic *nic)
{
	struct efi_simple_network *network = nic->network;
	efi_status_t status = EFI_SUCCESS;

	if (network->mode->state == EFI_SIMPLE_NETWORK_INITIALIZED)
		status = network->shutdown(network);
	if (nic->state == EFI_SIMPLE_NETWORK_STOPPED && network->mode->state == EFI_SIMPLE_NETWORK_STARTED)
		network->stop(network);
	return status;
}

static void give_back(struct nic *nic)
{
	efi_handle_t handle = pk_handle_of(nic->handle);
	efi_status_t status = EFI_SUCCESS;
	void *network;

	if (!EFI_ERROR(pk_handle_lookup(nic->handle, &efi_guid_simple_network, &network)) && network == nic->network) {
		status = quiesce(nic);
		pk_bs->close_protocol(handle, &efi_guid_simple_network, pk_image, handle);
		reconnect(handle);
	}
	/* A NIC that does not stop may still read its buffers: rather lose them. */
	if (!EFI_ERROR(status))
		pk_bs->free_pages((u64)nic->buffers, NR_PAGES);
	*nic = (struct nic){ 0 };
}

static efi_status_t set_filters(struct efi_simple_network *network)
{
	u32 can = network->mode->receive_filter_mask;
	u32 want = EFI_SIMPLE_NETWORK_RECEIVE_UNICAST | EFI_SIMPLE_NETWORK_RECEIVE_BROADCAST;

	/* Which groups Linux joins is not told here: all of them, by whatever means the NIC has. */
	want |= can & EFI_SIMPLE_NETWORK_RECEIVE_PROMISCUOUS_MULTICAST ?
			EFI_SIMPLE_NETWORK_RECEIVE_PROMISCUOUS_MULTICAST :
			EFI_SIMPLE_NETWORK_RECEIVE_PROMISCUOUS;
	return network->receive_filters(network, want & can, 0, false, 0, NULL);
}

static efi_status_t start(struct nic *nic)
{
	struct efi_simple_network *network = nic->network;
	efi_status_t status;

	if (network->mode->state == EFI_SIMPLE_NETWORK_STOPPED) {
		status = network->start(network);
		if (EFI_ERROR(status))
			return status;
	}
	if (network->mode->state == EFI_SIMPLE_NETWORK_STARTED) {
		status = network->initialize(network, 0, 0);
		if (EFI_ERROR(status))
			return status;
	}
	return set_filters(network);
}

static efi_status_t take(struct nic *nic, u32 number)
{
	struct nic taken = { .handle = number, .epoch = pk_handles_epoch() };
	efi_handle_t handle = pk_handle_of(number);
	efi_status_t status;
	u64 address;
	void *path;

	status = pk_handle_lookup(number, &efi_guid_simple_network, (void **)&taken.network);
	if (EFI_ERROR(status))
		return status;
	/* What Linux cannot reach: it must not change a frame that the NIC is about to read. */
	status = pk_bs->allocate_pages(EFI_ALLOCATE_ANY_PAGES, EFI_BOOT_SERVICES_DATA, NR_PAGES, &address);
	if (EFI_ERROR(status))
		return status;
	taken.buffers = (u8 *)address;
	if (!EFI_ERROR(pk_bs->handle_protocol(handle, &efi_guid_device_path, &path)))
		pk_pxe_save(path);

	/* Whoever else receives from it takes our frames away: MNP and all above it let go. */
	status = pk_bs->open_protocol(handle, &efi_guid_simple_network, (void **)&taken.network, pk_image, handle,
				      TAKE);
	/* iPXE holds the NIC that it shows, but leaves it alone while an image runs that it started. */
	if (status == EFI_ACCESS_DENIED)
		status = pk_handle_lookup(number, &efi_guid_simple_network, (void **)&taken.network);
	if (EFI_ERROR(status))
		goto err_open;
	taken.state = taken.network->mode->state;
	status = start(&taken);
	if (EFI_ERROR(status))
		goto err_start;
	*nic = taken;
	return EFI_SUCCESS;

err_start:
	quiesce(&taken);
	pk_bs->close_protocol(handle, &efi_guid_simple_network, pk_image, handle);
err_open:
	reconnect(handle);
	pk_bs->free_pages(address, NR_PAGES);
	return status;
}

efi_status_t pk_net_open(struct pk_call *call)
{
	const struct pk_handle_request *request = call->body;
	u32 handle = request->handle;
	struct nic *nic;
	efi_status_t status;

	if (!handle)
		return EFI_NOT_FOUND;
	nic = find(handle);
	if (!nic) {
		nic = find(0);
		if (!nic)
			return EFI_OUT_OF_RESOURCES;
		status = take(nic, handle);
		if (EFI_ERROR(status))
			return status;
	}
	/* Open already: whoever had it died without closing it. */
	nic->statistics = (struct pk_net_statistics){ 0 };
	return pk_net_info(call);
}

efi_status_t pk_net_close(struct pk_call *call)
{
	struct nic *nic = find_named(call);

	if (!nic)
		return EFI_NOT_FOUND;
	give_back(nic);
	return EFI_SUCCESS;
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
	u64 nr_handles;
	efi_handle_t *handles = list_nics(&nr_handles), found = NULL;

	for (u64 i = 0; i < nr_handles && !found; i++)
		if (!was_connected(handles[i]) && has_stack(handles[i]))
			found = handles[i];
	if (handles)
		pk_bs->free_pool(handles);
	return found;
}

void pk_net_release(void)
{
	efi_handle_t handle;

	for (u32 i = 0; i < NR_NICS; i++)
		if (nics[i].handle)
			give_back(&nics[i]);
	/*
	 * Who wishes to see network devices has the firmware connect its stack, which keeps NICs
	 * busy: payloads get them as quiet as they were. The list is new each time, for with a
	 * stack its handles go.
	 */
	for (u32 i = 0; i < NR_CONNECTED && (handle = find_new_stack()); i++)
		if (EFI_ERROR(pk_bs->disconnect_controller(handle, NULL, NULL)))
			break;
}

efi_status_t pk_net_statistics(struct pk_call *call)
{
	struct nic *nic = find_named(call);

	if (!nic)
		return EFI_NOT_FOUND;
	return pk_answer(call, &nic->statistics, sizeof(nic->statistics));
}

/* The firmware may have dropped the NIC while its timers ran: then its functions are gone, too. */
static bool present(struct nic *nic)
{
	u64 epoch = pk_handles_epoch();
	void *network;

	if (nic->epoch == epoch)
		return true;
	if (EFI_ERROR(pk_handle_lookup(nic->handle, &efi_guid_simple_network, &network)) || network != nic->network)
		return false;
	nic->epoch = epoch;
	return true;
}

/* Take back what the NIC has sent; was there any? */
static bool reap(struct nic *nic)
{
	bool any = false;

	for (u32 i = 0; i <= PK_NET_SLOTS; i++) {
		void *sent = NULL;
		u64 offset;

		if (EFI_ERROR(nic->network->get_status(nic->network, NULL, &sent))) {
			nic->statistics.nr_transmit_errors++;
			break;
		}
		if (!sent)
			break;
		offset = (u64)sent - (u64)nic->buffers;
		if (offset < PK_NET_SLOTS * PK_NET_SLOT_SIZE) {
			nic->in_flight &= ~(1ULL << offset / PK_NET_SLOT_SIZE);
			any = true;
		}
	}
	return any;
}

/* How many of the frames are done with: sent, or refused by the NIC for good. */
static u32 transmit(struct nic *nic, const struct pk_net_exchange *request, const u8 *slots)
{
	u32 done = 0;

	while (done < request->nr_transmit) {
		u32 free = ~nic->in_flight ? (u32)__builtin_ctzll(~nic->in_flight) : PK_NET_SLOTS;
		u16 size = request->transmit_size[done];
		efi_status_t status = EFI_NOT_READY;

		if (free < PK_NET_SLOTS) {
			u8 *buffer = nic->buffers + free * PK_NET_SLOT_SIZE;

			memcpy(buffer, slots + done * PK_NET_SLOT_SIZE, size);
			status = nic->network->transmit(nic->network, 0, size, buffer, NULL, NULL, NULL);
		}
		/* iPXE's word for a full queue is the second. */
		if (status == EFI_NOT_READY || status == EFI_OUT_OF_RESOURCES) {
			if (!reap(nic))
				break;
			continue;
		}
		if (EFI_ERROR(status)) {
			nic->statistics.nr_transmit_errors++;
		} else {
			nic->in_flight |= 1ULL << free;
			nic->statistics.nr_transmitted++;
		}
		done++;
	}
	return done;
}

/* How many of the slots were filled. */
static u32 receive(struct nic *nic, u32 room, u16 *sizes, u8 *slots)
{
	u8 *bounce = nic->buffers + PK_NET_SLOTS * PK_NET_SLOT_SIZE;
	u32 nr = 0;

	for (u32 tries = 0; nr < room && tries < 2 * PK_NET_SLOTS; tries++) {
		u64 size = BOUNCE_SIZE;
		efi_status_t status;

		status = nic->network->receive(nic->network, NULL, &size, bounce, NULL, NULL, NULL);
		if (status == EFI_NOT_READY)
			break;
		if (EFI_ERROR(status)) {
			nic->statistics.nr_receive_errors++;
			break;
		}
		if (size > PK_NET_SLOT_SIZE) {
			nic->statistics.nr_dropped++;
			continue;
		}
		memcpy(slots + nr * PK_NET_SLOT_SIZE, bounce, size);
		sizes[nr++] = (u16)size;
		nic->statistics.nr_received++;
	}
	return nr;
}

static bool valid(const struct nic *nic, const struct pk_net_exchange *request)
{
	u64 max = (u64)nic->network->mode->max_packet_size + nic->network->mode->media_header_size;

	if (request->nr_transmit > PK_NET_SLOTS || request->nr_receive > PK_NET_SLOTS)
		return false;
	for (u32 i = 0; i < request->nr_transmit; i++)
		if (request->transmit_size[i] < HEADER_SIZE || request->transmit_size[i] > PK_NET_SLOT_SIZE ||
		    request->transmit_size[i] > max)
			return false;
	return true;
}

/* There is no library for the compiler's own. */
static u32 nr_bits(u64 set)
{
	u32 nr = 0;

	for (; set; set &= set - 1)
		nr++;
	return nr;
}

efi_status_t pk_net_exchange(struct pk_call *call)
{
	const struct pk_descriptor *descriptor = call->body;
	u8 *data = call->answer;
	struct nic *nic = descriptor->handle ? find(descriptor->handle) : NULL;
	u8 *slots = data + PK_NET_FRAMES;
	struct pk_net_exchange request;

	if (call->capacity < PK_NET_EXCHANGE_SIZE)
		return EFI_BAD_BUFFER_SIZE;
	if (!nic || !present(nic))
		return EFI_NOT_FOUND;
	request = *(volatile struct pk_net_exchange *)data;
	if (!valid(nic, &request))
		return EFI_INVALID_PARAMETER;

	reap(nic);
	request.nr_transmit = transmit(nic, &request, slots);
	slots += PK_NET_SLOTS * PK_NET_SLOT_SIZE;
	request.nr_receive = receive(nic, request.nr_receive, request.receive_size, slots);
	request.media_present = media_present(nic->network->mode);
	request.nr_in_flight = nr_bits(nic->in_flight);
	memcpy(data, &request, sizeof(request));
	call->answered = (u64)(slots - data) + request.nr_receive * PK_NET_SLOT_SIZE;
	return EFI_SUCCESS;
}
