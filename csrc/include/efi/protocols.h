/* SPDX-License-Identifier: Apache-2.0 */
/* The protocols that the stub calls (UEFI 2.10; TCG EFI Protocol Specification 1.00). */
#ifndef EFI_PROTOCOLS_H
#define EFI_PROTOCOLS_H

#include <efi/tables.h>

/* 12.4 */
struct efi_simple_text_output {
	void *reset;
	efi_status_t (EFIAPI *output_string)(struct efi_simple_text_output *, efi_char16_t *);
};

/* 9.1 */
struct efi_loaded_image {
	u32 revision;
	u32 pad;
	efi_handle_t parent_handle;
	struct efi_system_table *system_table;
	efi_handle_t device_handle;
	struct efi_device_path *file_path;
	void *reserved;
	u32 load_options_size;
	u32 pad2;
	void *load_options;
	void *image_base;
	u64 image_size;
	u32 image_code_type;
	u32 image_data_type;
	efi_status_t (EFIAPI *unload)(efi_handle_t);
};

/* 13.2 */
struct efi_load_file2 {
	efi_status_t (EFIAPI *load_file)(struct efi_load_file2 *, struct efi_device_path *, u8 boot_policy,
					 u64 *size, void *buffer);
};

/* 13.5 */
struct efi_file {
	u64 revision;
	efi_status_t (EFIAPI *open)(struct efi_file *, struct efi_file **, efi_char16_t *, u64 mode, u64 attributes);
	efi_status_t (EFIAPI *close)(struct efi_file *);
	efi_status_t (EFIAPI *delete)(struct efi_file *);
	efi_status_t (EFIAPI *read)(struct efi_file *, u64 *size, void *buffer);
	efi_status_t (EFIAPI *write)(struct efi_file *, u64 *size, void *buffer);
	efi_status_t (EFIAPI *get_position)(struct efi_file *, u64 *position);
	efi_status_t (EFIAPI *set_position)(struct efi_file *, u64 position);
	efi_status_t (EFIAPI *get_info)(struct efi_file *, const efi_guid_t *, u64 *size, void *buffer);
};

enum { EFI_FILE_MODE_READ = 1 };
enum { EFI_FILE_DIRECTORY = 0x10 };

struct efi_simple_file_system {
	u64 revision;
	efi_status_t (EFIAPI *open_volume)(struct efi_simple_file_system *, struct efi_file **);
};

struct efi_file_info {
	u64 size;
	u64 file_size;
	u64 physical_size;
	struct efi_time create_time;
	struct efi_time last_access_time;
	struct efi_time modification_time;
	u64 attribute;
	efi_char16_t file_name[];
};

struct efi_file_system_info {
	u64 size;
	u8 read_only;
	u8 pad[7];
	u64 volume_size;
	u64 free_space;
	u32 block_size;
	efi_char16_t volume_label[];
};

/* 13.9 */
struct efi_block_io_media {
	u32 media_id;
	u8 removable_media;
	u8 media_present;
	u8 logical_partition;
	u8 read_only;
	u8 write_caching;
	u8 pad[3];
	u32 block_size;
	u32 io_align;
	u32 pad2;
	u64 last_block;
};

struct efi_block_io {
	u64 revision;
	struct efi_block_io_media *media;
	efi_status_t (EFIAPI *reset)(struct efi_block_io *, u8 extended);
	efi_status_t (EFIAPI *read_blocks)(struct efi_block_io *, u32 media_id, u64 lba, u64 size, void *);
	efi_status_t (EFIAPI *write_blocks)(struct efi_block_io *, u32 media_id, u64 lba, u64 size, void *);
	efi_status_t (EFIAPI *flush_blocks)(struct efi_block_io *);
};

/* 24.1 */
struct efi_simple_network_mode {
	u32 state;
	u32 hw_address_size;
	u32 media_header_size;
	u32 max_packet_size;
	u32 nvram_size;
	u32 nvram_access_size;
	u32 receive_filter_mask;
	u32 receive_filter_setting;
	u32 max_mcast_filter_count;
	u32 mcast_filter_count;
	u8 mcast_filter[16][32];
	u8 current_address[32];
	u8 broadcast_address[32];
	u8 permanent_address[32];
	u8 if_type;
	u8 mac_address_changeable;
	u8 multiple_tx_supported;
	u8 media_present_supported;
	u8 media_present;
};

struct efi_simple_network {
	u64 revision;
	efi_status_t (EFIAPI *start)(struct efi_simple_network *);
	efi_status_t (EFIAPI *stop)(struct efi_simple_network *);
	efi_status_t (EFIAPI *initialize)(struct efi_simple_network *, u64 extra_rx, u64 extra_tx);
	efi_status_t (EFIAPI *reset)(struct efi_simple_network *, u8 extended);
	efi_status_t (EFIAPI *shutdown)(struct efi_simple_network *);
	void *calls[8];		/* ReceiveFilters ... Receive: not used yet */
	efi_event_t wait_for_packet;
	struct efi_simple_network_mode *mode;
};

/* TCG EFI Protocol Specification 1.00 rev 0.13, 6 */
struct efi_tcg2_capability {
	u8 size;
	u8 structure_version[2];
	u8 protocol_version[2];
	u8 pad[3];
	u32 hash_algorithm_bitmap;
	u32 supported_event_logs;
	u8 tpm_present_flag;
	u8 pad2;
	u16 max_command_size;
	u16 max_response_size;
	u16 pad3;
	u32 manufacturer_id;
	u32 number_of_pcr_banks;
	u32 active_pcr_banks;
};
_Static_assert(sizeof(struct efi_tcg2_capability) == 36, "EFI_TCG2_BOOT_SERVICE_CAPABILITY");

/* Packed in the specification: event starts at offset 18. */
struct efi_tcg2_event {
	u32 size;
	u32 header_size;
	u16 header_version;
	u8 pcr_index[4];
	u8 event_type[4];
	u8 event[];
};
_Static_assert(offsetof(struct efi_tcg2_event, event) == 18, "EFI_TCG2_EVENT");

enum {
	EFI_TCG2_EVENT_HEADER_SIZE	= 14,
	EFI_TCG2_EVENT_HEADER_VERSION	= 1,
	EFI_TCG2_EV_IPL			= 0x0000000d,
};

struct efi_tcg2 {
	efi_status_t (EFIAPI *get_capability)(struct efi_tcg2 *, struct efi_tcg2_capability *);
	efi_status_t (EFIAPI *get_event_log)(struct efi_tcg2 *, u32 format, u64 *first, u64 *last, u8 *truncated);
	efi_status_t (EFIAPI *hash_log_extend_event)(struct efi_tcg2 *, u64 flags, u64 data, u64 size,
						     struct efi_tcg2_event *);
	efi_status_t (EFIAPI *submit_command)(struct efi_tcg2 *, u32 size, u8 *in, u32 out_size, u8 *out);
};

#endif
