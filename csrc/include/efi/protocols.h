/* SPDX-License-Identifier: Apache-2.0 */
/* The protocols that the stub calls (UEFI 2.10; TCG EFI Protocol Specification 1.00). */
#ifndef EFI_PROTOCOLS_H
#define EFI_PROTOCOLS_H

#include <efi/tables.h>

/* 12.2, 12.3 */
struct efi_input_key {
	u16 scan_code;
	u16 unicode_char;
};

struct efi_simple_text_input {
	efi_status_t (EFIAPI *reset)(struct efi_simple_text_input *, u8 extended);
	efi_status_t (EFIAPI *read_key_stroke)(struct efi_simple_text_input *, struct efi_input_key *);
	efi_event_t wait_for_key;
};

struct efi_key_data {
	struct efi_input_key key;
	u32 shift_state;
	u8 toggle_state;
};
_Static_assert(sizeof(struct efi_key_data) == 12, "EFI_KEY_DATA");
enum { EFI_SHIFT_STATE_VALID = (int)0x80000000 };

struct efi_simple_text_input_ex {
	efi_status_t (EFIAPI *reset)(struct efi_simple_text_input_ex *, u8 extended);
	efi_status_t (EFIAPI *read_key_stroke_ex)(struct efi_simple_text_input_ex *, struct efi_key_data *);
	efi_event_t wait_for_key_ex;
	efi_status_t (EFIAPI *set_state)(struct efi_simple_text_input_ex *, u8 *toggle_state);
};
enum { EFI_TOGGLE_STATE_VALID = 0x80 };

/* 12.4 */
struct efi_simple_text_output_mode {
	u32 max_mode;
	u32 mode;
	u32 attribute;
	u32 cursor_column;
	u32 cursor_row;
	u8 cursor_visible;
};

struct efi_simple_text_output {
	void *reset;
	efi_status_t (EFIAPI *output_string)(struct efi_simple_text_output *, efi_char16_t *);
	void *test_string;
	efi_status_t (EFIAPI *query_mode)(struct efi_simple_text_output *, u64 mode, u64 *columns, u64 *rows);
	efi_status_t (EFIAPI *set_mode)(struct efi_simple_text_output *, u64 mode);
	efi_status_t (EFIAPI *set_attribute)(struct efi_simple_text_output *, u64 attribute);
	efi_status_t (EFIAPI *clear_screen)(struct efi_simple_text_output *);
	efi_status_t (EFIAPI *set_cursor_position)(struct efi_simple_text_output *, u64 column, u64 row);
	efi_status_t (EFIAPI *enable_cursor)(struct efi_simple_text_output *, u8 visible);
	struct efi_simple_text_output_mode *mode;
};

/* 12.9 */
struct efi_graphics_output_information {
	u32 version;
	u32 horizontal_resolution;
	u32 vertical_resolution;
	u32 pixel_format;
	u32 pixel_information[4];
	u32 pixels_per_scan_line;
};

struct efi_graphics_output_mode {
	u32 max_mode;
	u32 mode;
	struct efi_graphics_output_information *info;
	u64 size_of_info;
	u64 frame_buffer_base;
	u64 frame_buffer_size;
};

struct efi_graphics_output {
	void *query_mode;
	void *set_mode;
	efi_status_t (EFIAPI *blt)(struct efi_graphics_output *, void *buffer, u32 operation, u64 source_x,
				   u64 source_y, u64 destination_x, u64 destination_y, u64 width, u64 height,
				   u64 delta);
	struct efi_graphics_output_mode *mode;
};
enum { EFI_PIXEL_BLUE_GREEN_RED_RESERVED = 1 };
enum { EFI_BLT_VIDEO_FILL = 0, EFI_BLT_VIDEO_TO_BUFFER = 1 };

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

/* 20.2 */
struct efi_acpi_table {
	efi_status_t (EFIAPI *install)(struct efi_acpi_table *, const void *table, u64 size, u64 *key);
	efi_status_t (EFIAPI *uninstall)(struct efi_acpi_table *, u64 key);
};

/* 13.17 */
struct efi_ram_disk {
	efi_status_t (EFIAPI *register_disk)(u64 start, u64 size, const efi_guid_t *type,
					     struct efi_device_path *parent, struct efi_device_path **ret);
	efi_status_t (EFIAPI *unregister)(struct efi_device_path *);
};

/* 14.4 */
struct efi_pci_io {
	void *poll[2];
	void *mem[2];
	void *io[2];
	efi_status_t (EFIAPI *pci_read)(struct efi_pci_io *, u32 width, u32 offset, u64 count, void *buffer);
	void *pci_write;
};
enum { EFI_PCI_IO_WIDTH_UINT16 = 1 };

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

enum efi_simple_network_state {
	EFI_SIMPLE_NETWORK_STOPPED,
	EFI_SIMPLE_NETWORK_STARTED,
	EFI_SIMPLE_NETWORK_INITIALIZED,
};

enum efi_simple_network_receive {
	EFI_SIMPLE_NETWORK_RECEIVE_UNICAST		= 0x01,
	EFI_SIMPLE_NETWORK_RECEIVE_MULTICAST		= 0x02,
	EFI_SIMPLE_NETWORK_RECEIVE_BROADCAST		= 0x04,
	EFI_SIMPLE_NETWORK_RECEIVE_PROMISCUOUS		= 0x08,
	EFI_SIMPLE_NETWORK_RECEIVE_PROMISCUOUS_MULTICAST = 0x10,
};

struct efi_simple_network {
	u64 revision;
	efi_status_t (EFIAPI *start)(struct efi_simple_network *);
	efi_status_t (EFIAPI *stop)(struct efi_simple_network *);
	efi_status_t (EFIAPI *initialize)(struct efi_simple_network *, u64 extra_rx, u64 extra_tx);
	efi_status_t (EFIAPI *reset)(struct efi_simple_network *, u8 extended);
	efi_status_t (EFIAPI *shutdown)(struct efi_simple_network *);
	efi_status_t (EFIAPI *receive_filters)(struct efi_simple_network *, u32 enable, u32 disable,
					       u8 reset_mcast, u64 nr_mcast, void *mcast);
	void *station_address;
	void *statistics;
	void *mcast_ip_to_mac;
	void *nv_data;
	efi_status_t (EFIAPI *get_status)(struct efi_simple_network *, u32 *interrupts, void **transmitted);
	efi_status_t (EFIAPI *transmit)(struct efi_simple_network *, u64 header_size, u64 size, void *frame,
					void *source, void *destination, u16 *protocol);
	efi_status_t (EFIAPI *receive)(struct efi_simple_network *, u64 *header_size, u64 *size, void *frame,
				       void *source, void *destination, u16 *protocol);
	efi_event_t wait_for_packet;
	struct efi_simple_network_mode *mode;
};
_Static_assert(offsetof(struct efi_simple_network, mode) == 120, "EFI_SIMPLE_NETWORK_PROTOCOL");

/* 24.3 */
struct efi_pxe_base_code_packet {
	u8 bytes[1472];
} __attribute__((aligned(4)));

struct efi_ip_address {
	u32 words[4];	/* IPv4: the first, in network byte order */
};

struct efi_pxe_base_code_mode {
	u8 started;
	u8 ipv6_available;
	u8 ipv6_supported;
	u8 using_ipv6;
	u8 bis_supported;
	u8 bis_detected;
	u8 auto_arp;
	u8 send_guid;
	u8 dhcp_discover_valid;
	u8 dhcp_ack_received;
	u8 proxy_offer_received;
	u8 pxe_discover_valid;
	u8 pxe_reply_received;
	u8 pxe_bis_reply_received;
	u8 icmp_error_received;
	u8 tftp_error_received;
	u8 make_callbacks;
	u8 ttl;
	u8 tos;
	u8 pad;
	struct efi_ip_address station_ip;
	struct efi_ip_address subnet_mask;
	struct efi_pxe_base_code_packet dhcp_discover;
	struct efi_pxe_base_code_packet dhcp_ack;
	struct efi_pxe_base_code_packet proxy_offer;
	struct efi_pxe_base_code_packet pxe_discover;
	struct efi_pxe_base_code_packet pxe_reply;
	struct efi_pxe_base_code_packet pxe_bis_reply;
	/* Filters, ARP and route tables, errors follow. */
};
_Static_assert(offsetof(struct efi_pxe_base_code_mode, dhcp_discover) == 52, "EFI_PXE_BASE_CODE_MODE");

struct efi_pxe_base_code {
	u64 revision;
	efi_status_t (EFIAPI *start)(struct efi_pxe_base_code *, u8 use_ipv6);
	efi_status_t (EFIAPI *stop)(struct efi_pxe_base_code *);
	efi_status_t (EFIAPI *dhcp)(struct efi_pxe_base_code *, u8 sort_offers);
	void *discover;
	efi_status_t (EFIAPI *mtftp)(struct efi_pxe_base_code *, u32 operation, void *buffer, u8 overwrite,
				     u64 *size, u64 *block_size, const struct efi_ip_address *server,
				     const u8 *file, void *info, u8 no_buffer);
	void *udp_write;
	void *udp_read;
	void *set_ip_filter;
	void *arp;
	void *set_parameters;
	efi_status_t (EFIAPI *set_station_ip)(struct efi_pxe_base_code *, const struct efi_ip_address *station,
					      const struct efi_ip_address *mask);
	efi_status_t (EFIAPI *set_packets)(struct efi_pxe_base_code *,
					   u8 *dhcp_discover_valid, u8 *dhcp_ack_received,
					   u8 *proxy_offer_received, u8 *pxe_discover_valid,
					   u8 *pxe_reply_received, u8 *pxe_bis_reply_received,
					   struct efi_pxe_base_code_packet *dhcp_discover,
					   struct efi_pxe_base_code_packet *dhcp_ack,
					   struct efi_pxe_base_code_packet *proxy_offer,
					   struct efi_pxe_base_code_packet *pxe_discover,
					   struct efi_pxe_base_code_packet *pxe_reply,
					   struct efi_pxe_base_code_packet *pxe_bis_reply);
	struct efi_pxe_base_code_mode *mode;
};
_Static_assert(offsetof(struct efi_pxe_base_code, mode) == 104, "EFI_PXE_BASE_CODE_PROTOCOL");

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
	/* PC Client Platform Firmware Profile 1.05, 10.4.1 */
	EFI_TCG2_EV_NO_ACTION		= 0x00000003,
	EFI_TCG2_EV_SEPARATOR		= 0x00000004,
	EFI_TCG2_EV_EVENT_TAG		= 0x00000006,
	EFI_TCG2_EV_COMPACT_HASH	= 0x0000000c,
	EFI_TCG2_EV_IPL			= 0x0000000d,
	/* 6.4: bits of supported_event_logs, and what GetEventLog is asked for */
	EFI_TCG2_EVENT_LOG_FORMAT_TCG_1_2	= 1,
	EFI_TCG2_EVENT_LOG_FORMAT_TCG_2		= 2,
};

struct efi_tcg2 {
	efi_status_t (EFIAPI *get_capability)(struct efi_tcg2 *, struct efi_tcg2_capability *);
	efi_status_t (EFIAPI *get_event_log)(struct efi_tcg2 *, u32 format, u64 *first, u64 *last, u8 *truncated);
	efi_status_t (EFIAPI *hash_log_extend_event)(struct efi_tcg2 *, u64 flags, u64 data, u64 size,
						     struct efi_tcg2_event *);
	efi_status_t (EFIAPI *submit_command)(struct efi_tcg2 *, u32 size, u8 *in, u32 out_size, u8 *out);
};

/* UEFI 2.10, 37.7, EFI_MEMORY_ATTRIBUTE_PROTOCOL: EFI_MEMORY_RP, XP and RO of page aligned ranges. */
struct efi_memory_attribute {
	efi_status_t (EFIAPI *get)(struct efi_memory_attribute *, u64 start, u64 size, u64 *attributes);
	efi_status_t (EFIAPI *set)(struct efi_memory_attribute *, u64 start, u64 size, u64 attributes);
	efi_status_t (EFIAPI *clear)(struct efi_memory_attribute *, u64 start, u64 size, u64 attributes);
};

#endif
