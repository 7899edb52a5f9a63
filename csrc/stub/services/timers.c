// SPDX-License-Identifier: Apache-2.0
/* Which handles' drivers wait for timer events, that is: need a switch in which the firmware's timer runs. */
#include <common/device_path.h>
#include <efi/guids.h>
#include <pykexec/abi.h>
#include <stub/lib/test.h>
#include <stub/services/identity.h>
#include <stub/services/timers.h>

enum {
	UNKNOWN,
	POLLS,
	NEEDS_TIMERS,

	MESSAGING_ATA = 1,
	MESSAGING_SATA = 18,
	MESSAGING_MAC = 11,

	PCI_VENDOR = 0,		/* offset in configuration space */
	VENDOR_VIRTIO = 0x1af4,
};

/* What may stand between a device that polls and the root. */
static bool is_bus(const struct efi_device_path *node)
{
	return node->type == EFI_DP_HARDWARE || node->type == EFI_DP_ACPI;
}

static bool polls(const struct efi_device_path *node)
{
	if (node->type == EFI_DP_MEDIA)
		return node->subtype == EFI_DP_MEDIA_RAM_DISK;
	return node->type == EFI_DP_MESSAGING &&
	       (node->subtype == MESSAGING_ATA || node->subtype == MESSAGING_SATA || node->subtype == MESSAGING_MAC);
}

/* A path that ends at PCI says nothing of its driver: a RAID controller's may be any vendor's. */
static bool is_virtio(u32 handle)
{
	struct pk_interface interface;
	efi_status_t status;
	u16 vendor = 0;

	if (EFI_ERROR(pk_interface_borrow(handle, &efi_guid_pci_io, &interface)))
		return false;
	status = interface.pci->pci_read(interface.pci, EFI_PCI_IO_WIDTH_UINT16, PCI_VENDOR, 1, &vendor);
	pk_interface_return(&interface);
	return !EFI_ERROR(status) && vendor == VENDOR_VIRTIO;
}

/*
 * Drivers of virtio devices, of ATA disks and RAM disks poll their hardware and give up by
 * counting stalls, and those of NICs do not wait at all. All others are taken to time out by
 * a timer event (NVMe, USB, SD, iSCSI do in EDK II): under a lean switch a dead device would
 * hold them for ever.
 */
static u8 classify(u32 handle)
{
	const struct efi_device_path *node;
	struct pk_interface interface;
	bool on_bus = true, known = true;

	if (EFI_ERROR(pk_interface_borrow(handle, &efi_guid_device_path, &interface)))
		return NEEDS_TIMERS;
	if (!pk_device_path_size(interface.path, PK_DEVICE_PATH_MAX))
		known = false;
	for (node = interface.path; known && node->type != EFI_DP_END;) {
		known = is_bus(node) || polls(node);
		on_bus &= is_bus(node);
		node = (const void *)((const u8 *)node + (node->length[0] | node->length[1] << 8));
	}
	pk_interface_return(&interface);
	return known && (!on_bus || pk_test_virtio(is_virtio(handle))) ? POLLS : NEEDS_TIMERS;
}

bool pk_handle_needs_timers(u32 handle)
{
	struct pk_handle_notes *notes = pk_handle_notes(handle);
	u8 kind;

	/* The TPM, whose registers are polled; or no such handle, which is refused either way. */
	if (!notes)
		return false;
	if (notes->kind != UNKNOWN)
		return notes->kind == NEEDS_TIMERS;
	kind = classify(handle);
	/* Looking may have found that there is no such handle any more. */
	notes = pk_handle_notes(handle);
	if (notes)
		notes->kind = kind;
	return kind == NEEDS_TIMERS;
}

bool pk_handle_is_known_to_poll(u32 handle)
{
	const struct pk_handle_notes *notes = pk_handle_notes(handle);

	return notes && notes->kind == POLLS;
}
