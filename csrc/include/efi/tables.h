/* SPDX-License-Identifier: Apache-2.0 */
/* EFI system, boot services and runtime services tables (UEFI 2.10, chapter 4). */
#ifndef EFI_TABLES_H
#define EFI_TABLES_H

#include <efi/types.h>

#define EFIAPI __attribute__((ms_abi))

typedef void *efi_event_t;
typedef u64 efi_tpl_t;

enum efi_tpl {
	EFI_TPL_APPLICATION	= 4,
	EFI_TPL_CALLBACK	= 8,
	EFI_TPL_NOTIFY		= 16,
	EFI_TPL_HIGH_LEVEL	= 31,
};

enum efi_event_type {
	EFI_EVT_TIMER		= (int)0x80000000,
	EFI_EVT_NOTIFY_SIGNAL	= 0x00000200,
	EFI_EVT_SIGNAL_EXIT_BOOT_SERVICES = 0x00000201,
};

/* 7.3.11 */
enum efi_open_protocol_attributes {
	EFI_OPEN_PROTOCOL_BY_HANDLE_PROTOCOL	= 0x01,
	EFI_OPEN_PROTOCOL_GET_PROTOCOL		= 0x02,
	EFI_OPEN_PROTOCOL_BY_DRIVER		= 0x10,
	EFI_OPEN_PROTOCOL_EXCLUSIVE		= 0x20,
};

/* 7.3.13 */
struct efi_open_protocol_information {
	efi_handle_t agent;
	efi_handle_t controller;
	u32 attributes;
	u32 open_count;
};

enum efi_timer_delay { EFI_TIMER_CANCEL, EFI_TIMER_PERIODIC, EFI_TIMER_RELATIVE };
enum efi_allocate_type { EFI_ALLOCATE_ANY_PAGES, EFI_ALLOCATE_MAX_ADDRESS, EFI_ALLOCATE_ADDRESS };
enum efi_locate_search_type { EFI_ALL_HANDLES, EFI_BY_REGISTER_NOTIFY, EFI_BY_PROTOCOL };
enum efi_reset_type { EFI_RESET_COLD, EFI_RESET_WARM, EFI_RESET_SHUTDOWN, EFI_RESET_PLATFORM };

struct efi_table_header {
	u64 signature;
	u32 revision;
	u32 header_size;
	u32 crc32;
	u32 reserved;
};

struct efi_configuration_table {
	efi_guid_t vendor_guid;
	void *vendor_table;
};

struct efi_simple_text_output;
struct efi_time {
	u8 bytes[16];
};
struct efi_time_capabilities {
	u8 bytes[12];
};

struct efi_runtime_services {
	struct efi_table_header hdr;
	efi_status_t (EFIAPI *get_time)(struct efi_time *, struct efi_time_capabilities *);
	efi_status_t (EFIAPI *set_time)(struct efi_time *);
	efi_status_t (EFIAPI *get_wakeup_time)(u8 *enabled, u8 *pending, struct efi_time *);
	efi_status_t (EFIAPI *set_wakeup_time)(u8 enable, struct efi_time *);
	efi_status_t (EFIAPI *set_virtual_address_map)(u64 size, u64 step, u32 version, void *map);
	efi_status_t (EFIAPI *convert_pointer)(u64 disposition, void **address);
	efi_status_t (EFIAPI *get_variable)(efi_char16_t *, efi_guid_t *, u32 *attributes, u64 *size, void *data);
	efi_status_t (EFIAPI *get_next_variable_name)(u64 *size, efi_char16_t *, efi_guid_t *);
	efi_status_t (EFIAPI *set_variable)(efi_char16_t *, efi_guid_t *, u32 attributes, u64 size, void *data);
	efi_status_t (EFIAPI *get_next_high_monotonic_count)(u32 *count);
	void (EFIAPI *reset_system)(u32 type, efi_status_t, u64 size, void *data);
	efi_status_t (EFIAPI *update_capsule)(void *, u64, u64);
	efi_status_t (EFIAPI *query_capsule_capabilities)(void *, u64, u64 *, u32 *);
	efi_status_t (EFIAPI *query_variable_info)(u32 attributes, u64 *max, u64 *remaining, u64 *max_size);
};

/* 7.3.2: EFI_INTERFACE_TYPE */
enum { EFI_NATIVE_INTERFACE = 0 };

struct efi_boot_services {
	struct efi_table_header hdr;
	efi_tpl_t (EFIAPI *raise_tpl)(efi_tpl_t);
	void (EFIAPI *restore_tpl)(efi_tpl_t);
	efi_status_t (EFIAPI *allocate_pages)(u32 type, u32 memory_type, u64 nr_pages, u64 *address);
	efi_status_t (EFIAPI *free_pages)(u64 address, u64 nr_pages);
	efi_status_t (EFIAPI *get_memory_map)(u64 *size, void *map, u64 *key, u64 *step, u32 *version);
	efi_status_t (EFIAPI *allocate_pool)(u32 memory_type, u64 size, void **buffer);
	efi_status_t (EFIAPI *free_pool)(void *buffer);
	efi_status_t (EFIAPI *create_event)(u32 type, efi_tpl_t, void (EFIAPI *notify)(efi_event_t, void *),
					    void *context, efi_event_t *event);
	efi_status_t (EFIAPI *set_timer)(efi_event_t, u32 type, u64 trigger_100ns);
	efi_status_t (EFIAPI *wait_for_event)(u64 nr, efi_event_t *, u64 *index);
	efi_status_t (EFIAPI *signal_event)(efi_event_t);
	efi_status_t (EFIAPI *close_event)(efi_event_t);
	efi_status_t (EFIAPI *check_event)(efi_event_t);
	efi_status_t (EFIAPI *install_protocol_interface)(efi_handle_t *, const efi_guid_t *, u32 type, void *);
	efi_status_t (EFIAPI *reinstall_protocol_interface)(efi_handle_t, const efi_guid_t *, void *, void *);
	efi_status_t (EFIAPI *uninstall_protocol_interface)(efi_handle_t, const efi_guid_t *, void *);
	efi_status_t (EFIAPI *handle_protocol)(efi_handle_t, const efi_guid_t *, void **interface);
	void *reserved;
	efi_status_t (EFIAPI *register_protocol_notify)(const efi_guid_t *, efi_event_t, void **);
	efi_status_t (EFIAPI *locate_handle)(u32 type, const efi_guid_t *, void *key, u64 *size, efi_handle_t *);
	efi_status_t (EFIAPI *locate_device_path)(const efi_guid_t *, struct efi_device_path **, efi_handle_t *);
	efi_status_t (EFIAPI *install_configuration_table)(const efi_guid_t *, void *table);
	efi_status_t (EFIAPI *load_image)(u8 boot_policy, efi_handle_t parent, void *device_path, void *source,
					  u64 size, efi_handle_t *image);
	efi_status_t (EFIAPI *start_image)(efi_handle_t, u64 *exit_data_size, efi_char16_t **exit_data);
	efi_status_t (EFIAPI *exit)(efi_handle_t, efi_status_t, u64 exit_data_size, efi_char16_t *exit_data);
	efi_status_t (EFIAPI *unload_image)(efi_handle_t);
	efi_status_t (EFIAPI *exit_boot_services)(efi_handle_t, u64 key);
	efi_status_t (EFIAPI *get_next_monotonic_count)(u64 *count);
	efi_status_t (EFIAPI *stall)(u64 us);
	efi_status_t (EFIAPI *set_watchdog_timer)(u64 seconds, u64 code, u64 size, efi_char16_t *data);
	efi_status_t (EFIAPI *connect_controller)(efi_handle_t, efi_handle_t *drivers, struct efi_device_path *,
						  u8 recursive);
	efi_status_t (EFIAPI *disconnect_controller)(efi_handle_t, efi_handle_t driver, efi_handle_t child);
	efi_status_t (EFIAPI *open_protocol)(efi_handle_t, const efi_guid_t *, void **interface, efi_handle_t agent,
					     efi_handle_t controller, u32 attributes);
	efi_status_t (EFIAPI *close_protocol)(efi_handle_t, const efi_guid_t *, efi_handle_t agent,
					      efi_handle_t controller);
	efi_status_t (EFIAPI *open_protocol_information)(efi_handle_t, const efi_guid_t *, void **, u64 *nr);
	efi_status_t (EFIAPI *protocols_per_handle)(efi_handle_t, efi_guid_t ***guids, u64 *nr);
	efi_status_t (EFIAPI *locate_handle_buffer)(u32 type, const efi_guid_t *, void *key, u64 *nr,
						    efi_handle_t **handles);
	efi_status_t (EFIAPI *locate_protocol)(const efi_guid_t *, void *registration, void **interface);
	void *install_multiple_protocol_interfaces;
	void *uninstall_multiple_protocol_interfaces;
	efi_status_t (EFIAPI *calculate_crc32)(void *data, u64 size, u32 *crc);
	void (EFIAPI *copy_mem)(void *destination, void *source, u64 size);
	void (EFIAPI *set_mem)(void *buffer, u64 size, u8 value);
	efi_status_t (EFIAPI *create_event_ex)(u32 type, efi_tpl_t, void (EFIAPI *notify)(efi_event_t, void *),
					       const void *context, const efi_guid_t *group, efi_event_t *event);
};
_Static_assert(sizeof(struct efi_boot_services) == 24 + 44 * 8, "EFI_BOOT_SERVICES, UEFI 2.10 4.4");

struct efi_system_table {
	struct efi_table_header hdr;
	efi_char16_t *firmware_vendor;
	u32 firmware_revision;
	u32 pad;
	efi_handle_t con_in_handle;
	struct efi_simple_text_input *con_in;
	efi_handle_t con_out_handle;
	struct efi_simple_text_output *con_out;
	efi_handle_t std_err_handle;
	struct efi_simple_text_output *std_err;
	struct efi_runtime_services *runtime;
	struct efi_boot_services *boot;
	u64 nr_tables;
	struct efi_configuration_table *tables;
};
_Static_assert(sizeof(struct efi_system_table) == 120, "EFI_SYSTEM_TABLE, UEFI 2.10 4.3");

#endif
