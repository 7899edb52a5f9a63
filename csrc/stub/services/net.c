// SPDX-License-Identifier: Apache-2.0
/* Simple Network for Linux: NICs taken from the firmware, frames exchanged in batches, NICs given back. */
#include <stub/lib/string.h>
#include <stub/lib/stub.h>
#include <stub/lib/test.h>
#include <stub/services/identity.h>
#include <stub/services/net.h>
#include <stub/services/net_stack.h>
#include <stub/services/pxe.h>

enum {
	NR_NICS = 8,
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
	u8 *buffers;	/* PK_NET_SLOTS of PK_NET_SLOT_SIZE to transmit from, then the bounce buffer */
	u64 in_flight;	/* bit n: the driver holds buffer n */
	struct pk_net_statistics statistics;
};
_Static_assert(PK_NET_SLOTS == 64, "in_flight has a bit for each");

static struct nic nics[NR_NICS];

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
	const struct efi_simple_network_mode *mode;
	struct pk_interface interface;
	struct pk_net_info reply;
	efi_status_t status;

	status = pk_interface_borrow(request->handle, &efi_guid_simple_network, &interface);
	if (EFI_ERROR(status))
		return status;
	mode = interface.network->mode;
	reply = (struct pk_net_info){
		.state = mode->state,
		.media_present = media_present(mode),
		.address_size = mode->hw_address_size <= ADDRESS_MAX ? mode->hw_address_size : 0,
		.max_packet_size = mode->max_packet_size,
	};
	memcpy(reply.address, mode->current_address, reply.address_size);
	pk_interface_return(&interface);
	return pk_answer(call, &reply, sizeof(reply));
}

/* Shut down always: Windows' boot manager does not survive a NIC that still writes to memory. */
static efi_status_t quiesce(struct efi_simple_network *network, u32 state)
{
	efi_status_t status = EFI_SUCCESS;

	if (network->mode->state == EFI_SIMPLE_NETWORK_INITIALIZED)
		status = pk_test_nic_shutdown(network->shutdown(network));
	if (state == EFI_SIMPLE_NETWORK_STOPPED && network->mode->state == EFI_SIMPLE_NETWORK_STARTED)
		network->stop(network);
	return status;
}

static void give_back(struct nic *nic)
{
	struct pk_interface interface;
	efi_status_t status;

	status = pk_interface_borrow(nic->handle, &efi_guid_simple_network, &interface);
	if (!EFI_ERROR(status)) {
		status = quiesce(interface.network, nic->state);
		pk_bs->close_protocol(interface.handle, &efi_guid_simple_network, pk_image, interface.handle);
		pk_interface_return(&interface);
		pk_net_stack_connect(nic->handle);
	}
	/* A NIC that does not stop, or whose number alone has gone, may still read its buffers: rather lose them. */
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

static efi_status_t start(struct efi_simple_network *network)
{
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

/* Whoever else receives from it takes our frames away: MNP and all above it let go. */
static efi_status_t take(u32 number, efi_handle_t *ret)
{
	struct pk_interface interface;
	efi_status_t status;
	void *unused;

	status = pk_interface_borrow(number, &efi_guid_simple_network, &interface);
	if (EFI_ERROR(status))
		return status;
	pk_interface_return(&interface);
	pk_pxe_save_of(number);
	/* Not while it is borrowed: drivers that have to let go may wait for their timers. */
	status = pk_bs->open_protocol(interface.handle, &efi_guid_simple_network, &unused, pk_image, interface.handle,
				      TAKE);
	/* iPXE holds the NIC that it shows, but leaves it alone while an image runs that it started. */
	if (status == EFI_ALREADY_STARTED)
		status = EFI_SUCCESS;	/* We have it, by a number that has gone. */
	if (EFI_ERROR(status) && status != EFI_ACCESS_DENIED) {
		pk_net_stack_connect(number);
		return status;
	}
	*ret = interface.handle;
	return EFI_SUCCESS;
}

static efi_status_t begin(struct nic *nic, u32 number)
{
	struct nic begun = { .handle = number };
	struct pk_interface interface;
	efi_handle_t handle;
	efi_status_t status;
	u64 address;

	/* What Linux cannot reach: it must not change a frame that the NIC is about to read. */
	status = pk_bs->allocate_pages(EFI_ALLOCATE_ANY_PAGES, EFI_BOOT_SERVICES_DATA, NR_PAGES, &address);
	if (EFI_ERROR(status))
		return status;
	begun.buffers = (u8 *)address;
	status = take(number, &handle);
	if (EFI_ERROR(status))
		goto err_take;
	status = pk_interface_borrow(number, &efi_guid_simple_network, &interface);
	if (EFI_ERROR(status))
		goto err_take;
	begun.state = interface.network->mode->state;
	status = start(interface.network);
	if (EFI_ERROR(status))
		goto err_start;
	pk_interface_return(&interface);
	*nic = begun;
	return EFI_SUCCESS;

err_start:
	quiesce(interface.network, begun.state);
	pk_bs->close_protocol(handle, &efi_guid_simple_network, pk_image, handle);
	pk_interface_return(&interface);
	pk_net_stack_connect(number);
err_take:
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
		status = begin(nic, handle);
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

void pk_net_release(void)
{
	for (u32 i = 0; i < NR_NICS; i++)
		if (nics[i].handle)
			give_back(&nics[i]);
	pk_pxe_find_routers();
	pk_net_stack_quiet();
}

efi_status_t pk_net_statistics(struct pk_call *call)
{
	struct nic *nic = find_named(call);

	if (!nic)
		return EFI_NOT_FOUND;
	return pk_answer(call, &nic->statistics, sizeof(nic->statistics));
}

/* Take back what the NIC has sent; was there any? */
static bool reap(struct nic *nic, struct efi_simple_network *network)
{
	bool any = false;

	for (u32 i = 0; i <= PK_NET_SLOTS; i++) {
		void *sent = NULL;
		u64 offset;

		if (EFI_ERROR(network->get_status(network, NULL, &sent))) {
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
static u32 transmit(struct nic *nic, struct efi_simple_network *network, const struct pk_net_exchange *request,
		    const u8 *slots)
{
	u32 done = 0;

	while (done < request->nr_transmit) {
		u32 free = ~nic->in_flight ? (u32)__builtin_ctzll(~nic->in_flight) : PK_NET_SLOTS;
		u16 size = request->transmit_size[done];
		efi_status_t status = EFI_NOT_READY;

		if (free < PK_NET_SLOTS) {
			u8 *buffer = nic->buffers + free * PK_NET_SLOT_SIZE;

			memcpy(buffer, slots + done * PK_NET_SLOT_SIZE, size);
			status = network->transmit(network, 0, size, buffer, NULL, NULL, NULL);
		}
		/* iPXE's word for a full queue is the second. */
		if (status == EFI_NOT_READY || status == EFI_OUT_OF_RESOURCES) {
			if (!reap(nic, network))
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
static u32 receive(struct nic *nic, struct efi_simple_network *network, u32 room, u16 *sizes, u8 *slots)
{
	u8 *bounce = nic->buffers + PK_NET_SLOTS * PK_NET_SLOT_SIZE;
	u32 nr = 0;

	for (u32 tries = 0; nr < room && tries < 2 * PK_NET_SLOTS; tries++) {
		u64 size = BOUNCE_SIZE;
		efi_status_t status;

		status = network->receive(network, NULL, &size, bounce, NULL, NULL, NULL);
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

static bool valid(const struct efi_simple_network_mode *mode, const struct pk_net_exchange *request)
{
	u64 max = (u64)mode->max_packet_size + mode->media_header_size;

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

/* The data's frames out, and what has come into their place; how many bytes that is. */
static efi_status_t exchange(struct nic *nic, struct efi_simple_network *network, u8 *data, u64 *ret_size)
{
	struct pk_net_exchange request = *(volatile struct pk_net_exchange *)data;
	u8 *slots = data + PK_NET_FRAMES;

	if (!valid(network->mode, &request))
		return EFI_INVALID_PARAMETER;
	reap(nic, network);
	request.nr_transmit = transmit(nic, network, &request, slots);
	slots += PK_NET_SLOTS * PK_NET_SLOT_SIZE;
	request.nr_receive = receive(nic, network, request.nr_receive, request.receive_size, slots);
	request.media_present = media_present(network->mode);
	request.nr_in_flight = nr_bits(nic->in_flight);
	memcpy(data, &request, sizeof(request));
	*ret_size = (u64)(slots - data) + request.nr_receive * PK_NET_SLOT_SIZE;
	return EFI_SUCCESS;
}

efi_status_t pk_net_exchange(struct pk_call *call)
{
	const struct pk_descriptor *descriptor = call->body;
	struct nic *nic = descriptor->handle ? find(descriptor->handle) : NULL;
	struct pk_interface interface;
	efi_status_t status;

	if (call->capacity < PK_NET_EXCHANGE_SIZE)
		return EFI_BAD_BUFFER_SIZE;
	if (!nic)
		return EFI_NOT_FOUND;
	status = pk_interface_borrow(nic->handle, &efi_guid_simple_network, &interface);
	if (EFI_ERROR(status))
		return status;
	status = exchange(nic, interface.network, call->answer, &call->answered);
	pk_interface_return(&interface);
	return status;
}
