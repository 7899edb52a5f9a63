// SPDX-License-Identifier: Apache-2.0
/*
 * Stands in for Windows' wdsmgfw.efi, which PXE starts: it goes by what the firmware's PXE base code on
 * its own device handle was told, and fetches the rest from the server that is named there. Each step
 * ends in "PK:wds:<step>:<status>", the first that fails ends the application; "WDS:" are facts.
 */
#include <common/device_path.h>
#include <common/dhcp.h>
#include <common/mem.h>
#include <efi/guids.h>
#include <efi/protocols.h>
#include <payload/console.h>

/* Beside what PXE started. */
static const char file_name[] = "boot.sdi";

enum {
	TFTP_GET_FILE_SIZE	= 1,
	TFTP_READ_FILE		= 2,
	BOOT_REPLY		= 2,
	YIADDR			= 16,
	CHADDR			= 28,
	BOOT_FILE		= 108,
	BOOT_FILE_SIZE		= 128,
	ETHERNET_SIZE		= 6,
	NAME_MAX		= 255 + sizeof(file_name),
	PATH_MAX		= 4096,
};

static struct efi_system_table *st;
static struct efi_loaded_image *image;
static struct efi_pxe_base_code *pxe;
static struct efi_simple_network *network;

/* Leave the step with what is not so, which is said as it is written. */
#define need(condition)                                                       \
	do {                                                                  \
		if (!(condition)) {                                           \
			pk_put(u"WDS:failed:" u"" #condition u"\r\n");        \
			return EFI_ABORTED;                                   \
		}                                                             \
	} while (0)

static efi_status_t find(efi_handle_t handle, const efi_guid_t *guid, void *ret)
{
	return st->boot->handle_protocol(handle, guid, ret);
}

static bool has_driver(efi_handle_t handle)
{
	struct efi_open_protocol_information *users;
	bool found = false;
	u64 nr = 0;

	if (EFI_ERROR(st->boot->open_protocol_information(handle, &efi_guid_simple_network, (void **)&users, &nr)))
		return false;
	for (u64 i = 0; i < nr; i++)
		found |= !!(users[i].attributes & EFI_OPEN_PROTOCOL_BY_DRIVER);
	st->boot->free_pool(users);
	return found;
}

/* A NIC is at work for its own driver alone; what Linux left running would write into anybody's memory. */
static efi_status_t check_nics(void)
{
	struct efi_simple_network *each;
	efi_handle_t *handles;
	u64 nr = 0;

	need(!EFI_ERROR(st->boot->locate_handle_buffer(EFI_BY_PROTOCOL, &efi_guid_simple_network, NULL, &nr,
						       &handles)));
	for (u64 i = 0; i < nr; i++) {
		need(!EFI_ERROR(find(handles[i], &efi_guid_simple_network, &each)));
		pk_put_line(u"WDS:nic:", each->mode->state, has_driver(handles[i]));
		need(each->mode->state == EFI_SIMPLE_NETWORK_STOPPED || has_driver(handles[i]));
	}
	return EFI_SUCCESS;
}

/* The handle itself has all that a network boot program looks for, and its path is that of a NIC. */
static efi_status_t check_image(efi_handle_t image_handle)
{
	const u8 *device, *whole, *file;
	u64 device_size, file_size;
	void *unused;

	need(!EFI_ERROR(find(image_handle, &efi_guid_loaded_image, &image)));
	need(image->device_handle);
	need(!EFI_ERROR(find(image->device_handle, &efi_guid_device_path, &device)));
	need(!EFI_ERROR(find(image->device_handle, &efi_guid_pxe_base_code, &pxe)));
	need(!EFI_ERROR(find(image->device_handle, &efi_guid_load_file, &unused)));
	need(!EFI_ERROR(find(image->device_handle, &efi_guid_simple_network, &network)));
	file = (const u8 *)image->file_path;
	need(file);
	need(!EFI_ERROR(find(image_handle, &efi_guid_loaded_image_device_path, &whole)));
	device_size = pk_device_path_size(device, PATH_MAX) - sizeof(struct efi_device_path);
	file_size = pk_device_path_size(file, PATH_MAX);
	pk_put_line(u"WDS:path:", device_size, file_size);
	need(file[0] == EFI_DP_END);
	need(pk_device_path_size(whole, PATH_MAX) == device_size + file_size);
	need(!memcmp(whole, device, device_size) && !memcmp(whole + device_size, file, file_size));
	return EFI_SUCCESS;
}

static efi_status_t check_state(void)
{
	const struct efi_pxe_base_code_mode *mode = pxe->mode;
	const u8 *ack = mode->dhcp_ack.bytes;

	need(mode->started && !mode->using_ipv6);
	need(mode->dhcp_ack_received);
	need(ack[0] == BOOT_REPLY);
	need(!memcmp(ack + CHADDR, network->mode->current_address, ETHERNET_SIZE));
	need(!memcmp(ack + YIADDR, &mode->station_ip, sizeof(mode->station_ip.words[0])));
	need(pk_dhcp_address(ack, sizeof(mode->dhcp_ack), PK_DHCP_MASK) == mode->subnet_mask.words[0]);
	pk_put_line(u"WDS:packets:", mode->dhcp_discover_valid, mode->dhcp_ack_received, mode->proxy_offer_received,
		    mode->pxe_discover_valid, mode->pxe_reply_received, mode->pxe_bis_reply_received);
	pk_put_line(u"WDS:station:", mode->station_ip.words[0], mode->subnet_mask.words[0]);
	return EFI_SUCCESS;
}

/* Who knows of a boot file: the boot server before the proxy, and that before the DHCP server. */
static const u8 *boot_packet(void)
{
	const struct efi_pxe_base_code_mode *mode = pxe->mode;

	if (mode->pxe_reply_received)
		return mode->pxe_reply.bytes;
	return mode->proxy_offer_received ? mode->proxy_offer.bytes : mode->dhcp_ack.bytes;
}

/* The name of a file beside the boot file, which the header has, or an option. */
static void name_beside_boot_file(const u8 *packet, u8 *ret)
{
	const u8 *boot_file = packet + BOOT_FILE;
	u8 size = BOOT_FILE_SIZE;
	u32 used = 0;

	if (!boot_file[0])
		boot_file = pk_dhcp_option(packet, sizeof(pxe->mode->dhcp_ack), PK_DHCP_BOOT_FILE, &size);
	for (u32 i = 0; boot_file && i < size && boot_file[i]; i++)
		if (boot_file[i] == '/' || boot_file[i] == '\\')
			used = i + 1;
	if (used)
		memcpy(ret, boot_file, used);
	memcpy(ret + used, file_name, sizeof(file_name));
}

/* Without a server Windows says "Server IP: 0.0.0.0", and ends in 0xc000000e. */
static efi_status_t fetch(void)
{
	const u8 *packet = boot_packet();
	u8 name[NAME_MAX];
	struct efi_ip_address server = { 0 };
	efi_status_t status;
	u64 size = 0, read;
	void *buffer;
	u32 crc;

	server.words[0] = pk_dhcp_boot_server(packet, sizeof(pxe->mode->dhcp_ack));
	pk_put_line(u"WDS:server:", server.words[0]);
	need(server.words[0]);
	name_beside_boot_file(packet, name);
	status = pxe->mtftp(pxe, TFTP_GET_FILE_SIZE, NULL, false, &size, NULL, &server, name, NULL, false);
	pk_put_line(u"WDS:size:", status, size);
	need(!EFI_ERROR(status) && size);
	need(!EFI_ERROR(st->boot->allocate_pool(EFI_LOADER_DATA, size, &buffer)));
	read = size;
	status = pxe->mtftp(pxe, TFTP_READ_FILE, buffer, false, &read, NULL, &server, name, NULL, false);
	need(!EFI_ERROR(status) && read == size);
	need(!EFI_ERROR(st->boot->calculate_crc32(buffer, size, &crc)));
	pk_put_line(u"WDS:file:", size, crc);
	return st->boot->free_pool(buffer);
}

/* As Windows does when it misses a device; whoever has the NIC keeps it. */
static efi_status_t connect_all(void)
{
	efi_handle_t *handles;
	u64 nr = 0;

	need(!EFI_ERROR(st->boot->locate_handle_buffer(EFI_BY_PROTOCOL, &efi_guid_device_path, NULL, &nr, &handles)));
	for (u64 i = 0; i < nr; i++)
		st->boot->connect_controller(handles[i], NULL, NULL, true);
	st->boot->free_pool(handles);
	need(!EFI_ERROR(check_nics()));
	need(!EFI_ERROR(find(image->device_handle, &efi_guid_pxe_base_code, &pxe)));
	return fetch();
}

static efi_status_t end(u32 step, efi_status_t status)
{
	static u16 label[] = u"PK:wds:0:0x";

	label[7] = (u16)('0' + step);
	pk_put_line(label, status);
	return status;
}

EFIAPI efi_status_t efi_main(efi_handle_t image_handle, struct efi_system_table *system_table)
{
	efi_status_t status;

	st = system_table;
	pk_console_init(system_table);
	status = end(0, check_nics());
	if (!EFI_ERROR(status))
		status = end(1, check_image(image_handle));
	if (!EFI_ERROR(status))
		status = end(2, check_state());
	if (!EFI_ERROR(status))
		status = end(3, fetch());
	if (!EFI_ERROR(status))
		status = end(4, connect_all());
	return status;
}
