// SPDX-License-Identifier: Apache-2.0
/* Which handles' drivers wait for timer events, that is: need a switch in which the firmware's timer runs. */
#include <efi/guids.h>
#include <efi/protocols.h>
#include <pykexec/abi.h>
#include <stub/services/handles.h>
#include <stub/services/timers.h>

enum {
	UNKNOWN,
	POLLS,
	NEEDS_TIMERS,

	MESSAGING_ATA = 1,
	MESSAGING_SATA = 18,
	MESSAGING_MAC = 11,
	MEDIA_RAM_DISK = 9,
};

/* By handle number: what pk_handle_needs_timers() found. */
static u8 kinds[PK_HANDLE_MAX + 1];

/*
 * Drivers on PCI itself (virtio), of ATA disks and RAM disks poll their hardware and
 * give up by counting stalls. All others are taken to time out by a timer event (NVMe,
 * USB, SD, iSCSI do in EDK II): under a lean switch a dead device would hold them for ever.
 */
static bool polls(const struct efi_device_path *node)
{
	switch (node->type) {
	case EFI_DP_HARDWARE:
	case EFI_DP_ACPI:
		return true;
	case EFI_DP_MESSAGING:
		return node->subtype == MESSAGING_ATA || node->subtype == MESSAGING_SATA ||
		       node->subtype == MESSAGING_MAC;
	case EFI_DP_MEDIA:
		return node->subtype == MEDIA_RAM_DISK;
	default:
		return false;
	}
}

static u8 classify(u32 handle)
{
	const struct efi_device_path *node;
	void *path;

	if (EFI_ERROR(pk_handle_lookup(handle, &efi_guid_device_path, &path)))
		return NEEDS_TIMERS;
	for (node = path; node->type != EFI_DP_END;) {
		u16 length = (u16)(node->length[0] | node->length[1] << 8);

		if (!polls(node) || length < sizeof(*node))
			return NEEDS_TIMERS;
		node = (const void *)((const u8 *)node + length);
	}
	return POLLS;
}

bool pk_handle_needs_timers(u32 handle)
{
	/* The TPM, whose registers are polled; or no such handle, which is refused either way. */
	if (!handle || handle > PK_HANDLE_MAX)
		return false;
	if (kinds[handle] == UNKNOWN)
		kinds[handle] = classify(handle);
	return kinds[handle] == NEEDS_TIMERS;
}

bool pk_handle_is_known_to_poll(u32 handle)
{
	return handle <= PK_HANDLE_MAX && kinds[handle] == POLLS;
}
