/* SPDX-License-Identifier: Apache-2.0 */
/* The devices' part of abi.h: blocks, network, TPM, RAM disks, and the window that their data crosses in. */
#ifndef PYKEXEC_DEVICES_H
#define PYKEXEC_DEVICES_H

#include <pykexec/abi.h>

/* ---- devices ---- */

enum pk_block_flags {
	PK_BLOCK_PRESENT	= 1,
	PK_BLOCK_LOGICAL	= 2,
	PK_BLOCK_READ_ONLY	= 4,
	PK_BLOCK_REMOVABLE	= 8,
	PK_BLOCK_WRITE_CACHING	= 16,
};

struct pk_block_info {
	u64 last_lba;
	u32 block_size;
	u32 media_id;
	u32 io_align;
	u32 flags;	/* enum pk_block_flags */
};
PK_ABI_ASSERT(pk_block_info, 24)

struct pk_block_request {
	u32 handle;
	u32 media_id;
	u64 lba;
	u64 size;	/* bytes, a multiple of the block size */
};
PK_ABI_ASSERT(pk_block_request, 24)

struct pk_net_info {
	u32 state;	/* EFI_SIMPLE_NETWORK_STATE */
	u32 media_present;
	u8 address[32];
	u32 address_size;
	u32 max_packet_size;
};
PK_ABI_ASSERT(pk_net_info, 48)

/* What a PCI function says of itself (PCI Local Bus 3.0, 6.2.1). */
struct pk_pci_info {
	u16 vendor;
	u16 device;
	u32 class_code;	/* base class, subclass, programming interface: 0x020000 is Ethernet */
};
PK_ABI_ASSERT(pk_pci_info, 8)

enum pk_net_constants {
	PK_NET_SLOTS		= 64,		/* frames each way in one exchange */
	PK_NET_SLOT_SIZE	= 2048,		/* bytes; a frame with its media header must fit */
	PK_NET_FRAMES		= 1024,		/* offset of the first slot: transmit slots, then receive slots */
	PK_NET_EXCHANGE_SIZE	= 263168,	/* bytes: PK_NET_FRAMES and 2 * PK_NET_SLOTS slots */
};

/*
 * Frames out and in by one bell. Linux sets nr_transmit, sizes and frames of the
 * transmit slots, and how many frames it has room for; the stub copies them
 * before it looks at them, and sets the rest.
 */
struct pk_net_exchange {
	u32 nr_transmit;	/* in: frames to send; out: how many were taken, the first ones */
	u32 nr_receive;		/* in: room, at most PK_NET_SLOTS; out: frames that came */
	u32 media_present;	/* out */
	u32 nr_in_flight;	/* out: transmit buffers that the NIC still holds */
	u16 transmit_size[64];	/* whole frames, media header included, FCS not */
	u16 receive_size[64];
};
PK_ABI_ASSERT(pk_net_exchange, 272)

/* Since NET_OPEN. Errors are what Transmit, Receive and GetStatus reported. */
struct pk_net_statistics {
	u64 nr_transmitted;
	u64 nr_received;
	u64 nr_transmit_errors;
	u64 nr_receive_errors;
	u64 nr_dropped;		/* received frames that are larger than a slot */
};
PK_ABI_ASSERT(pk_net_statistics, 40)

enum pk_pxe_flags {
	PK_PXE_STARTED		= 1,
	PK_PXE_IPV6		= 2,
	PK_PXE_DHCP_ACK		= 4,	/* dhcp_ack is valid */
	PK_PXE_PROXY_OFFER	= 8,
	PK_PXE_REPLY		= 16,	/* of the boot server discovery */
};

/* EFI_PXE_BASE_CODE_MODE as the firmware's own boot left it (24.3); packets as they came (RFC 951, RFC 8415). */
struct pk_net_pxe {
	u32 flags;		/* enum pk_pxe_flags */
	u32 reserved;
	u8 station_ip[16];	/* IPv4: the first four bytes */
	u8 subnet_mask[16];
	u8 dhcp_ack[1472];
	u8 proxy_offer[1472];
	u8 pxe_reply[1472];
};
PK_ABI_ASSERT(pk_net_pxe, 4456)

/* EFI_TCG2_EVENT_ALGORITHM_BITMAP (TCG EFI Protocol Specification, 6.4.1). */
enum pk_tpm_banks {
	PK_TPM_BANK_SHA1	= 1,
	PK_TPM_BANK_SHA256	= 2,
	PK_TPM_BANK_SHA384	= 4,
	PK_TPM_BANK_SHA512	= 8,
	PK_TPM_BANK_SM3_256	= 16,
};

struct pk_tpm_info {
	u32 present;
	u32 manufacturer;
	u32 active_banks;	/* enum pk_tpm_banks */
	u32 supported_banks;
};
PK_ABI_ASSERT(pk_tpm_info, 16)

struct pk_event_log_request {
	u64 offset;
	u64 size;	/* bytes wanted */
};
PK_ABI_ASSERT(pk_event_log_request, 16)

/* The crypto agile log; SHA-1 format only where the firmware has no other. */
struct pk_event_log_reply {
	u64 size;	/* of the whole log, its last entry included */
	u32 truncated;	/* the firmware ran out of room: entries are missing */
	u32 format;	/* EFI_TCG2_EVENT_LOG_FORMAT_... */
};
PK_ABI_ASSERT(pk_event_log_reply, 16)

enum pk_tpm_event_constants {
	/* Bytes of data. EDK II has room for 64 KiB of log, of which dbx alone takes a third. */
	PK_TPM_EVENT_MAX		= 4096,
	/* The only registers that Linux may have extended with an event. */
	PK_TPM_EVENT_PCR_CONFIG		= 5,	/* EV_EVENT_TAG: configuration that is no part of the image */
	PK_TPM_EVENT_PCR_RELEASE	= 15,	/* EV_IPL: secrets were released in this boot */
	/* taggedEventID of TCG_PCClientTaggedEvent (PC Client Platform Firmware Profile 1.05, 10.4.2) in PCR 5. */
	PK_TPM_EVENT_TAG_SECTIONS	= 0x64736b70,	/* "pksd": what an image says of its sections */
	PK_TPM_EVENT_TAG_CONFIG		= 0x66636b70,	/* "pkcf": configuration that is no part of the image */
};

/*
 * The event's data in the log are the very bytes that follow, and what is extended is
 * their digest in each active bank: who has the log can compute it again. The type is
 * the register's; an EV_EVENT_TAG is a TCG_PCClientTaggedEvent of PK_TPM_EVENT_TAG_CONFIG.
 */
struct pk_tpm_event {
	u32 pcr;
	u32 reserved;	/* bytes follow to the end of the record, at least one */
};
PK_ABI_ASSERT(pk_tpm_event, 8)

enum pk_ramdisk_flags {
	PK_RAMDISK_PERSIST	= 1,	/* reserved memory: the payload's OS sees it (NFIT) */
	PK_RAMDISK_REGISTERED	= 2,
	/* Not by EFI_RAM_DISK_PROTOCOL: a virtual disk by the stub's own Block I/O, read only, never PERSIST. */
	PK_RAMDISK_BLOCK	= 4,
	PK_RAMDISK_REMOVABLE	= 8,	/* of a BLOCK: on a medium that can be taken out */
};

struct pk_ramdisk_request {
	u64 size;	/* bytes */
	u8 type[16];	/* GUID: virtual disk, virtual CD, persistent ones (10.3.5.9) */
	u32 flags;	/* enum pk_ramdisk_flags */
	u32 reserved;
};
PK_ABI_ASSERT(pk_ramdisk_request, 32)

struct pk_ramdisk_number {
	u32 ramdisk;	/* from 1 */
	u32 reserved;
};
PK_ABI_ASSERT(pk_ramdisk_number, 8)

struct pk_ramdisk_data {
	u32 ramdisk;
	u32 reserved;
	u64 offset;	/* bytes follow to the end of the record */
};
PK_ABI_ASSERT(pk_ramdisk_data, 16)

struct pk_ramdisk_entry {
	u32 ramdisk;
	u32 handle;	/* 0 until it is registered */
	u64 size;
	u8 type[16];
	u32 flags;	/* enum pk_ramdisk_flags */
	u32 reserved;
};
PK_ABI_ASSERT(pk_ramdisk_entry, 40)

/* ---- window: memory shared with Linux' user space, for bulk data ---- */

enum pk_window_constants {
	PK_WINDOW_MAGIC		= 0x574f444e4957,	/* "WINDOW" */
	PK_WINDOW_VERSION	= 2,
	PK_WINDOW_SIZE		= 16777216,	/* bytes, unless pykexec.window=<MiB>M is in .cmdline */
	PK_WINDOW_SIZE_MAX	= 268435456,
	PK_WINDOW_ALIGNMENT	= 2097152,	/* Linux maps it by large pages */
	PK_WINDOW_CHANNELS	= 63,		/* channel n is page n + 1; page 0 is the header */
	PK_WINDOW_DATA		= 262144,	/* offset of the first byte that is nobody's header */
	PK_CHANNEL_DEPTH	= 32,
};

/* Descriptors of a channel, ever: served by the stub until both are equal. */
struct pk_counters {
	u32 posted;	/* by Linux */
	u32 served;	/* by the stub */
};
PK_ABI_ASSERT(pk_counters, 8)

/* The first page. All counters are here, so that a bell touches no page of a channel that is silent. */
struct pk_window {
	u64 magic;
	u32 version;
	u32 nr_channels;
	u64 size;
	u64 data;	/* offset of the data area */
	u64 nr_bells;	/* that found something posted */
	u64 nr_installed;	/* Block I/O and Simple Network interfaces that came since */
	u64 cookie;		/* of this Linux: who can read it here has the page mapped */
	u64 reserved;
	struct pk_counters counters[63];
};
PK_ABI_ASSERT(pk_window, 568)

enum pk_window_use {
	PK_WINDOW_SET_ASIDE	= 1,
	PK_WINDOW_IS_MEMORY	= 2,	/* no CONFIG_EFI_SOFT_RESERVE */
};

/*
 * What Linux does with the window. Until it has said that it is set aside, with the cookie
 * out of its header, the stub neither reads nor writes there; that it is memory cannot be
 * taken back by this Linux.
 */
struct pk_window_request {
	u64 cookie;	/* with SET_ASIDE */
	u32 use;	/* enum pk_window_use */
	u32 reserved;
};
PK_ABI_ASSERT(pk_window_request, 16)

/*
 * One operation on a handle, where data goes from or to [offset, offset + size) of the
 * window. The stub works on a copy: Linux may change the window at any time.
 */
struct pk_descriptor {
	u16 op;		/* PK_OP_BLOCK_READ, _WRITE, _FLUSH, PK_OP_NET_EXCHANGE, PK_OP_TPM_COMMAND */
	u16 flags;	/* enum pk_request_flags */
	u32 handle;
	u64 offset;
	u64 size;	/* bytes; a whole number of blocks */
	u64 capacity;	/* room for what comes back, if it can be more than size */
	u64 lba;
	u32 media_id;
	u32 reserved;
	u64 status;	/* out: efi_status_t */
	u64 result;	/* out: bytes that came or went */
};
PK_ABI_ASSERT(pk_descriptor, 64)

/*
 * One client's descriptors, served in order. Linux writes descriptors[posted % PK_CHANNEL_DEPTH],
 * then counts posted up, then rings.
 */
struct pk_channel {
	struct pk_descriptor descriptors[32];
};
PK_ABI_ASSERT(pk_channel, 2048)

#endif
