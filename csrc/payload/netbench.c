// SPDX-License-Identifier: Apache-2.0
/*
 * How fast an EFI application's Simple Network is, against the counterpart on the
 * host, whose UDP port is the option "port=<hex>". In TSC ticks:
 * "BENCH:udp-out:<sent>:<came>:<ticks>", "BENCH:udp-in:<came>:<lost>:<ticks>",
 * "BENCH:ping:<pause in us>:<lost>:<ticks>..."
 */
#include <common/mem.h>
#include <efi/guids.h>
#include <efi/protocols.h>
#include <payload/bench.h>
#include <payload/console.h>
#include <payload/packets.h>

enum {
	NR_BUFFERS	= 64,
	BUFFER_SIZE	= 2048,
	CALIBRATION_US	= 100000,
	TAKE		= EFI_OPEN_PROTOCOL_BY_DRIVER | EFI_OPEN_PROTOCOL_EXCLUSIVE,
};

static struct efi_boot_services *bs;
static struct efi_simple_network *network;
static struct pk_link link = { .ip = BENCH_GUEST, .peer_ip = BENCH_HOST };
/* What the driver holds until GetStatus gives it back. */
static u8 buffers[NR_BUFFERS][BUFFER_SIZE] __attribute__((aligned(4096)));
static u64 in_flight;
static u8 received[BUFFER_SIZE] __attribute__((aligned(4096)));
static u64 ticks_per_ms;

static void reap(void)
{
	for (u32 i = 0; i < NR_BUFFERS; i++) {
		void *sent = NULL;

		if (EFI_ERROR(network->get_status(network, NULL, &sent)) || !sent)
			return;
		in_flight &= ~(1ULL << ((u64)sent - (u64)buffers) / BUFFER_SIZE);
	}
}

/* A buffer that the driver does not hold. */
static u8 *take_buffer(void)
{
	while (!~in_flight)
		reap();
	return buffers[__builtin_ctzll(~in_flight)];
}

static efi_status_t transmit(u8 *frame, u32 size)
{
	efi_status_t status;

	for (;;) {
		status = network->transmit(network, 0, size, frame, NULL, NULL, NULL);
		if (status != EFI_NOT_READY)
			break;
		reap();
	}
	if (!EFI_ERROR(status))
		in_flight |= 1ULL << (u64)(frame - buffers[0]) / BUFFER_SIZE;
	return status;
}

/* What has come, if anything has; ARP is answered here. */
static enum pk_packet_kind receive(u32 *ret_data)
{
	u64 size = sizeof(received);
	enum pk_packet_kind kind;

	if (EFI_ERROR(network->receive(network, NULL, &size, received, NULL, NULL, NULL)))
		return PK_PACKET_OTHER;
	kind = pk_packet_parse(&link, received, size, ret_data);
	if (kind == PK_PACKET_ARP_REQUEST) {
		u8 *frame = take_buffer();

		transmit(frame, pk_packet_arp(&link, frame, true));
	}
	return kind;
}

static bool wait_for(enum pk_packet_kind kind, u64 ms, u32 *ret_data)
{
	u64 start = bench_tsc();

	while (bench_tsc() - start < ms * ticks_per_ms)
		if (receive(ret_data) == kind)
			return true;
	return false;
}

static efi_status_t resolve(void)
{
	u32 unused;

	for (u32 tries = 0; tries < 5; tries++) {
		u8 *frame = take_buffer();

		transmit(frame, pk_packet_arp(&link, frame, false));
		if (wait_for(PK_PACKET_ARP_REPLY, BENCH_PING_LOST_MS, &unused))
			return EFI_SUCCESS;
	}
	return EFI_NOT_FOUND;
}

static efi_status_t send_datagram(u32 op, u32 sequence, u32 count, u32 size)
{
	struct bench_datagram head = { op, sequence, count };
	u8 *frame = take_buffer();

	return transmit(frame, pk_packet_udp(&link, frame, &head, sizeof(head), size));
}

/* Ask until there is an answer to it; its count. */
static efi_status_t ask(u32 op, u32 *ret_count)
{
	static u32 sequence;
	struct bench_datagram answer;
	u32 data;

	sequence++;
	for (u32 tries = 0; tries < 20; tries++) {
		send_datagram(op, sequence, 0, sizeof(answer));
		while (wait_for(PK_PACKET_UDP, BENCH_QUIET_MS, &data)) {
			memcpy(&answer, received + data, sizeof(answer));
			if (answer.op != op || answer.sequence != sequence)
				continue;
			*ret_count = answer.count;
			return EFI_SUCCESS;
		}
	}
	return EFI_NOT_FOUND;
}

static efi_status_t udp_out(void)
{
	efi_status_t status;
	u32 came, nr;
	u64 start;

	status = ask(BENCH_START, &came);
	if (EFI_ERROR(status))
		return status;
	start = bench_tsc();
	for (nr = 0; nr < BENCH_UDP_FRAMES && bench_tsc() - start < BENCH_UDP_MS * ticks_per_ms; nr++) {
		status = send_datagram(BENCH_DATA, nr, 0, BENCH_UDP_SIZE);
		if (EFI_ERROR(status))
			return status;
	}
	status = ask(BENCH_COUNT, &came);
	if (!EFI_ERROR(status))
		pk_put_line(u"BENCH:udp-out:", nr, came, bench_tsc() - start);
	return status;
}

static efi_status_t udp_in(void)
{
	u32 came = 0, lost = 0, pending = 0, data;
	u64 start = bench_tsc();
	efi_status_t status;

	while (came < BENCH_UDP_FRAMES && bench_tsc() - start < BENCH_UDP_MS * ticks_per_ms) {
		while (pending <= BENCH_UDP_WANT) {
			status = send_datagram(BENCH_WANT, 0, BENCH_UDP_WANT, sizeof(struct bench_datagram));
			if (EFI_ERROR(status))
				return status;
			pending += BENCH_UDP_WANT;
		}
		if (wait_for(PK_PACKET_UDP, BENCH_QUIET_MS, &data)) {
			came++;
			pending--;
		} else {
			lost += pending;
			pending = 0;
		}
	}
	pk_put_line(u"BENCH:udp-in:", came, lost, bench_tsc() - start);
	while (wait_for(PK_PACKET_UDP, BENCH_QUIET_MS, &data))
		;
	return EFI_SUCCESS;
}

static void ping(u32 pause_us)
{
	/* Values of the line: pause, lost, ticks of those that were answered. */
	static u64 values[2 + BENCH_PINGS];
	u32 nr = 2;

	values[0] = pause_us;
	values[1] = 0;
	for (u16 sequence = 0; sequence < BENCH_PINGS; sequence++) {
		u8 *frame = take_buffer();
		u32 answered = BENCH_PINGS;
		u64 start = bench_tsc();

		transmit(frame, pk_packet_echo(&link, frame, sequence, BENCH_PING_SIZE));
		while (answered != sequence && wait_for(PK_PACKET_ECHO_REPLY, BENCH_PING_LOST_MS, &answered))
			;
		if (answered == sequence)
			values[nr++] = bench_tsc() - start;
		else
			values[1]++;
		bs->stall(pause_us);
	}
	pk_put_values(u"BENCH:ping:", values, nr);
}

static efi_status_t measure(void)
{
	efi_status_t status = resolve();

	for (u32 round = 0; round < BENCH_ROUNDS && !EFI_ERROR(status); round++) {
		status = udp_out();
		if (!EFI_ERROR(status))
			status = udp_in();
	}
	if (EFI_ERROR(status))
		return status;
	ping(BENCH_PING_BUSY_US);
	ping(BENCH_PING_IDLE_US);
	return EFI_SUCCESS;
}

static efi_status_t start(efi_handle_t image, efi_handle_t handle)
{
	u32 filters = EFI_SIMPLE_NETWORK_RECEIVE_UNICAST | EFI_SIMPLE_NETWORK_RECEIVE_BROADCAST;
	efi_status_t status;

	/* The firmware's own stack would take frames away. */
	status = bs->open_protocol(handle, &efi_guid_simple_network, (void **)&network, image, handle, TAKE);
	if (!EFI_ERROR(status) && network->mode->state == EFI_SIMPLE_NETWORK_STOPPED)
		status = network->start(network);
	if (!EFI_ERROR(status) && network->mode->state == EFI_SIMPLE_NETWORK_STARTED)
		status = network->initialize(network, 0, 0);
	if (!EFI_ERROR(status))
		status = network->receive_filters(network, filters, 0, false, 0, NULL);
	if (!EFI_ERROR(status))
		memcpy(link.mac, network->mode->current_address, sizeof(link.mac));
	return status;
}

static void stop(efi_handle_t image, efi_handle_t handle)
{
	network->shutdown(network);
	network->stop(network);
	bs->close_protocol(handle, &efi_guid_simple_network, image, handle);
	bs->connect_controller(handle, NULL, NULL, true);
}

EFIAPI efi_status_t efi_main(efi_handle_t image_handle, struct efi_system_table *system_table)
{
	efi_handle_t *handles;
	efi_status_t status;
	u64 nr_handles, port;

	bs = system_table->boot;
	pk_console_init(system_table);
	if (!pk_option(pk_options_of(image_handle), "port=", &port))
		return EFI_INVALID_PARAMETER;
	link.udp_port = (u16)port;
	ticks_per_ms = bench_tsc();
	bs->stall(CALIBRATION_US);
	ticks_per_ms = (bench_tsc() - ticks_per_ms) / (CALIBRATION_US / 1000);
	status = bs->locate_handle_buffer(EFI_BY_PROTOCOL, &efi_guid_simple_network, NULL, &nr_handles, &handles);
	if (!EFI_ERROR(status))
		status = start(image_handle, handles[0]);
	if (!EFI_ERROR(status)) {
		status = measure();
		stop(image_handle, handles[0]);
	}
	pk_put_line(u"BENCH:end:", status);
	return status;
}
