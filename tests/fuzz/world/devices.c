// SPDX-License-Identifier: Apache-2.0
/* The world's devices and their drivers. */
#include <sanitizer/asan_interface.h>

#include <efi/guids.h>

#include "../fuzz.h"
#include "devices.h"

enum {
	SIGNATURE = 0x68646e6c,
	BLOCK_SIZE = 512,
	NR_BLOCKS = 64,
	FRAME_SIZE = 64,
	VENDOR_VIRTIO = 0x1af4,
	VENDOR_OTHER = 0x1000,
};

static struct device devices[NR_DEVICES];
static bool present[NR_DEVICES];
static u32 last_serial;

static efi_status_t begin(struct device *device)
{
	FUZZ_CHECK(device->signature == SIGNATURE);
	world_called(device);
	if (!device->new_medium)
		return EFI_SUCCESS;
	device->new_medium = false;
	device->media.media_id++;
	devices_drop_partitions(device);
	devices_installed(device, &efi_guid_block_io);
	devices_find_partitions(device);
	return EFI_MEDIA_CHANGED;
}

static efi_status_t end(efi_status_t status)
{
	world_returns();
	return status;
}

static struct device *of_block(struct efi_block_io *io)
{
	return (struct device *)((u8 *)io - offsetof(struct device, block));
}

static efi_status_t EFIAPI reset(struct efi_block_io *io, u8 extended)
{
	(void)extended;
	return end(begin(of_block(io)));
}

static efi_status_t transfer(struct efi_block_io *io, u32 media_id, u64 lba, u64 size, bool write)
{
	efi_status_t status = begin(of_block(io));

	if (status == EFI_SUCCESS && media_id != io->media->media_id)
		status = EFI_MEDIA_CHANGED;
	/* What the stub promises to have looked at. */
	if (status == EFI_SUCCESS)
		FUZZ_CHECK(size && size % io->media->block_size == 0 && lba <= io->media->last_block &&
			   size / io->media->block_size - 1 <= io->media->last_block - lba);
	if (status == EFI_SUCCESS && write)
		of_block(io)->written = true;
	return status;
}

static efi_status_t EFIAPI read_blocks(struct efi_block_io *io, u32 media_id, u64 lba, u64 size, void *data)
{
	efi_status_t status = transfer(io, media_id, lba, size, false);

	if (status == EFI_SUCCESS) {
		memset(data, 0, size);
		memcpy(data, &of_block(io)->serial, WORLD_SERIAL_SIZE);
	}
	return end(status);
}

static efi_status_t EFIAPI write_blocks(struct efi_block_io *io, u32 media_id, u64 lba, u64 size, void *data)
{
	(void)data;
	return end(transfer(io, media_id, lba, size, true));
}

static efi_status_t EFIAPI flush_blocks(struct efi_block_io *io)
{
	return end(begin(of_block(io)));
}

static struct device *of_network(struct efi_simple_network *network)
{
	return (struct device *)((u8 *)network - offsetof(struct device, network));
}

static efi_status_t change(struct efi_simple_network *network, u32 from, u32 to)
{
	efi_status_t status = begin(of_network(network));

	if (status == EFI_SUCCESS && network->mode->state != from)
		status = EFI_NOT_READY;
	if (status == EFI_SUCCESS)
		network->mode->state = to;
	return end(status);
}

static efi_status_t EFIAPI net_start(struct efi_simple_network *network)
{
	return change(network, EFI_SIMPLE_NETWORK_STOPPED, EFI_SIMPLE_NETWORK_STARTED);
}

static efi_status_t EFIAPI net_stop(struct efi_simple_network *network)
{
	return change(network, EFI_SIMPLE_NETWORK_STARTED, EFI_SIMPLE_NETWORK_STOPPED);
}

static efi_status_t EFIAPI net_initialize(struct efi_simple_network *network, u64 receive, u64 transmit)
{
	(void)receive;
	(void)transmit;
	return change(network, EFI_SIMPLE_NETWORK_STARTED, EFI_SIMPLE_NETWORK_INITIALIZED);
}

static efi_status_t EFIAPI net_shutdown(struct efi_simple_network *network)
{
	return change(network, EFI_SIMPLE_NETWORK_INITIALIZED, EFI_SIMPLE_NETWORK_STARTED);
}

static efi_status_t EFIAPI receive_filters(struct efi_simple_network *network, u32 enable, u32 disable, u8 reset,
					   u64 nr, void *addresses)
{
	(void)enable;
	(void)disable;
	(void)reset;
	(void)nr;
	(void)addresses;
	return end(begin(of_network(network)));
}

static efi_status_t EFIAPI get_status(struct efi_simple_network *network, u32 *interrupts, void **sent)
{
	struct device *device = of_network(network);

	(void)interrupts;
	begin(device);
	*sent = device->nr_sent ? (void *)device->sent[--device->nr_sent] : NULL;
	return end(EFI_SUCCESS);
}

static efi_status_t EFIAPI transmit(struct efi_simple_network *network, u64 header, u64 size, void *frame,
				    void *source, void *destination, u16 *protocol)
{
	struct device *device = of_network(network);

	(void)header;
	(void)source;
	(void)destination;
	(void)protocol;
	begin(device);
	if (network->mode->state != EFI_SIMPLE_NETWORK_INITIALIZED || device->nr_sent == 64)
		return end(EFI_NOT_READY);
	/* The NIC reads it now and later: it must be nobody's but the firmware's. */
	FUZZ_CHECK(world_owns((u64)frame, size));
	device->sent[device->nr_sent++] = (u64)frame;
	return end(EFI_SUCCESS);
}

static efi_status_t EFIAPI receive(struct efi_simple_network *network, u64 *header, u64 *size, void *frame,
				   void *source, void *destination, u16 *protocol)
{
	struct device *device = of_network(network);

	(void)header;
	(void)source;
	(void)destination;
	(void)protocol;
	begin(device);
	FUZZ_CHECK(*size >= FRAME_SIZE && world_owns((u64)frame, *size));
	memset(frame, 0, FRAME_SIZE);
	memcpy(frame, &device->serial, WORLD_SERIAL_SIZE);
	*size = FRAME_SIZE;
	return end(EFI_SUCCESS);
}

static efi_status_t EFIAPI pci_read(struct efi_pci_io *pci, u32 width, u32 offset, u64 count, void *buffer)
{
	const struct device *device = (const void *)((const u8 *)pci - offsetof(struct device, pci));

	FUZZ_CHECK(device->signature == SIGNATURE);
	FUZZ_CHECK(width == EFI_PCI_IO_WIDTH_UINT16 && !offset && count >= 1);
	memset(buffer, 0, count * sizeof(u16));
	memcpy(buffer, &(u16){ device->kind == WORLD_DISK ? VENDOR_VIRTIO : VENDOR_OTHER }, sizeof(u16));
	return end(EFI_SUCCESS);
}

static bool is_nic(const struct device *device)
{
	return device->kind == WORLD_NIC || device->kind == WORLD_USB_NIC;
}

static u64 put_node(u8 *path, u64 at, u8 type, u8 subtype, u64 value)
{
	const u8 node[12] = { type, subtype, sizeof(node), 0 };

	memcpy(path + at, node, sizeof(node));
	memcpy(path + at + 4, &value, sizeof(value));
	return at + sizeof(node);
}

static void put_path(struct device *device, u32 port, u64 start)
{
	u64 at = 0;

	if (device->kind == WORLD_RAM_DISK) {
		at = put_node(device->path, at, EFI_DP_MEDIA, EFI_DP_MEDIA_RAM_DISK, start);
	} else {
		at = put_node(device->path, at, EFI_DP_ACPI, 1, 0);
		at = put_node(device->path, at, EFI_DP_HARDWARE, 1, port);
	}
	if (device->kind == WORLD_CDROM || device->kind == WORLD_PARTITION)
		at = put_node(device->path, at, EFI_DP_MESSAGING, 18, 0);
	if (device->kind == WORLD_USB_DISK || device->kind == WORLD_USB_NIC)
		at = put_node(device->path, at, EFI_DP_MESSAGING, 5, 0);
	if (is_nic(device))
		at = put_node(device->path, at, EFI_DP_MESSAGING, 11, 0);
	if (device->kind == WORLD_PARTITION)
		at = put_node(device->path, at, EFI_DP_MEDIA, 1, 0);
	memcpy(device->path + at, (const u8[]){ EFI_DP_END, EFI_DP_END_ENTIRE, 4, 0 }, 4);
}

static void bring_up(struct device *device, enum world_kind kind, u64 size)
{
	memset(device, 0, sizeof(*device));
	device->signature = SIGNATURE;
	device->kind = kind;
	device->serial = ++last_serial;
	device->media = (struct efi_block_io_media){
		.media_id = 1,
		.removable_media = kind == WORLD_CDROM,
		.media_present = true,
		.logical_partition = kind == WORLD_PARTITION,
		.block_size = BLOCK_SIZE,
		.io_align = kind == WORLD_USB_DISK ? 4096 : 0,
		.last_block = size / BLOCK_SIZE - 1,
	};
	device->block = (struct efi_block_io){
		.media = &device->media,
		.reset = reset,
		.read_blocks = read_blocks,
		.write_blocks = write_blocks,
		.flush_blocks = flush_blocks,
	};
	device->mode = (struct efi_simple_network_mode){
		.hw_address_size = 6,
		.media_header_size = 14,
		.max_packet_size = 1500,
		.receive_filter_mask = 31,
	};
	device->pci.pci_read = pci_read;
	device->network = (struct efi_simple_network){
		.start = net_start,
		.stop = net_stop,
		.initialize = net_initialize,
		.shutdown = net_shutdown,
		.receive_filters = receive_filters,
		.get_status = get_status,
		.transmit = transmit,
		.receive = receive,
		.mode = &device->mode,
	};
}

static void announce(struct device *device)
{
	devices_installed(device, &efi_guid_device_path);
	devices_installed(device, is_nic(device) ? &efi_guid_simple_network : &efi_guid_block_io);
}

struct device *devices_plug(enum world_kind kind, u32 port, u64 start, u64 size)
{
	for (u32 i = 0; i < NR_DEVICES; i++) {
		if (present[i])
			continue;
		present[i] = true;
		ASAN_UNPOISON_MEMORY_REGION(&devices[i], sizeof(devices[i]));
		bring_up(&devices[i], kind, size ? size : NR_BLOCKS * BLOCK_SIZE);
		devices[i].start = start;
		devices[i].size = size;
		/* The stub brings its own, one by one. */
		if (kind == WORLD_OWN_DISK)
			return &devices[i];
		put_path(&devices[i], port, start);
		announce(&devices[i]);
		if (kind == WORLD_CDROM)
			devices_find_partitions(&devices[i]);
		return &devices[i];
	}
	return NULL;
}

void devices_find_partitions(struct device *device)
{
	u32 port;
	struct device *partition;

	memcpy(&port, device->path + 16, sizeof(port));
	partition = devices_plug(WORLD_PARTITION, port, 0, 0);
	if (partition)
		partition->parent = device;
}

void devices_drop_partitions(struct device *device)
{
	for (u32 i = 0; i < NR_DEVICES; i++)
		if (present[i] && devices[i].parent == device)
			devices_unplug(&devices[i]);
}

void devices_unplug(struct device *device)
{
	devices_drop_partitions(device);
	world_forget(device);
	present[device - devices] = false;
	memset(device, 0xa5, sizeof(*device));
	ASAN_POISON_MEMORY_REGION(device, sizeof(*device));
}

void devices_swap(struct device *device)
{
	enum world_kind kind = device->kind;
	u8 path[PATH_MAX_SIZE];

	if (kind >= WORLD_PLUGGED)
		return;
	memcpy(path, device->path, sizeof(path));
	devices_drop_partitions(device);
	world_forget(device);
	bring_up(device, kind, NR_BLOCKS * BLOCK_SIZE);
	memcpy(device->path, path, sizeof(path));
	announce(device);
	if (kind == WORLD_CDROM)
		devices_find_partitions(device);
}

struct device *devices_at(u32 n)
{
	for (u32 i = 0; i < NR_DEVICES; i++)
		if (present[i] && !n--)
			return &devices[i];
	return NULL;
}

struct device *devices_valid(efi_handle_t handle)
{
	for (u32 i = 0; i < NR_DEVICES; i++)
		if (present[i] && handle == &devices[i])
			return &devices[i];
	return NULL;
}

void *devices_interface(struct device *device, const efi_guid_t *protocol)
{
	FUZZ_CHECK(device->signature == SIGNATURE);
	if (device->kind == WORLD_OWN_DISK) {
		if (!memcmp(protocol, &efi_guid_device_path, sizeof(*protocol)))
			return device->own_path;
		return memcmp(protocol, &efi_guid_block_io, sizeof(*protocol)) ? NULL : device->own_block;
	}
	if (!memcmp(protocol, &efi_guid_device_path, sizeof(*protocol)))
		return device->path;
	if (!memcmp(protocol, &efi_guid_block_io, sizeof(*protocol)))
		return is_nic(device) ? NULL : &device->block;
	if (!memcmp(protocol, &efi_guid_pci_io, sizeof(*protocol)))
		return device->kind == WORLD_DISK || device->kind == WORLD_RAID ? &device->pci : NULL;
	if (!memcmp(protocol, &efi_guid_simple_network, sizeof(*protocol)))
		return is_nic(device) ? &device->network : NULL;
	return NULL;
}

void devices_installed(struct device *device, const efi_guid_t *protocol)
{
	world_signal(protocol, device);
}

void devices_reset(void)
{
	for (u32 i = 0; i < NR_DEVICES; i++)
		present[i] = false;
	ASAN_POISON_MEMORY_REGION(devices, sizeof(devices));
	last_serial = 0;
	for (u32 kind = 0; kind < WORLD_PLUGGED; kind++)
		devices_plug(kind, kind, 0, 0);
}
