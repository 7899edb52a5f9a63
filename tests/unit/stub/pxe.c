// SPDX-License-Identifier: Apache-2.0
/*
 * PXE base code that loses its state with the NIC and is brought back. The bytes of a DHCP answer, of a
 * proxy's offer (none: empty) come in hexadecimal, then the station's address and mask, and what DHCP says
 * when it is asked again: "same", "other", "fails". Prints every call of base code, and what it has at last.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>

#include <stub/lib/stub.h>
#include <stub/services/identity.h>
#include <stub/services/pxe.h>

#define NODE(type, subtype) type, subtype, 4, 0
#define END NODE(EFI_DP_END, EFI_DP_END_ENTIRE)

struct efi_boot_services *pk_bs;

static const u8 nic_path[] = { NODE(3, 11), END };
static const u8 base_code_path[] = { NODE(3, 11), NODE(3, 12), END };
static struct efi_pxe_base_code_mode mode;
static struct efi_pxe_base_code base_code;
static const char *dhcp_says;

u32 pk_handle_number(efi_handle_t handle, const void *path)
{
	(void)handle;
	(void)path;
	return 2;
}

efi_status_t pk_interface_borrow(u32 number, const efi_guid_t *protocol, struct pk_interface *ret)
{
	(void)number;
	(void)protocol;
	ret->path = (const void *)nic_path;
	return EFI_SUCCESS;
}

void pk_interface_return(const struct pk_interface *interface)
{
	(void)interface;
}

void pk_print(const char *format, ...)
{
	char text[200];
	va_list arguments;

	/* "%x" is all that is needed, and is of 64 bits there. */
	snprintf(text, sizeof(text), "%.*sllx%s", (int)(strchr(format, '%') - format) + 1, format,
		 strchr(format, '%') + 2);
	va_start(arguments, format);
	vprintf(text, arguments);
	va_end(arguments);
}

static efi_status_t EFIAPI handle_protocol(efi_handle_t handle, const efi_guid_t *guid, void **ret)
{
	(void)handle;
	*ret = memcmp(guid, &efi_guid_device_path, sizeof(*guid)) ? (void *)&base_code : (void *)base_code_path;
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI locate_handle_buffer(u32 type, const efi_guid_t *guid, void *key, u64 *nr,
						efi_handle_t **ret)
{
	(void)type;
	(void)guid;
	(void)key;
	*ret = calloc(1, sizeof(**ret));
	*nr = 1;
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI locate_device_path(const efi_guid_t *guid, struct efi_device_path **path, efi_handle_t *ret)
{
	(void)guid;
	*path = (void *)((u8 *)*path + sizeof(base_code_path) - sizeof(struct efi_device_path));
	*ret = &base_code;
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI allocate_pool(u32 type, u64 size, void **ret)
{
	(void)type;
	*ret = aligned_alloc(8, (size + 7) & ~7ULL);
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI free_pool(void *pool)
{
	free(pool);
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI start(struct efi_pxe_base_code *pxe, u8 use_ipv6)
{
	(void)pxe;
	mode.started = true;
	mode.using_ipv6 = use_ipv6;
	printf("start ");
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI dhcp(struct efi_pxe_base_code *pxe, u8 sort_offers)
{
	(void)pxe;
	(void)sort_offers;
	printf("dhcp ");
	if (!strcmp(dhcp_says, "fails"))
		return EFI_NOT_READY;
	memset(mode.dhcp_ack.bytes, 0xee, sizeof(mode.dhcp_ack));
	mode.station_ip.words[0] = inet_addr(strcmp(dhcp_says, "same") ? "10.0.0.77" : "10.0.0.5");
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI set_packets(struct efi_pxe_base_code *pxe, u8 *discover_valid, u8 *ack_received,
				       u8 *offer_received, u8 *pxe_discover_valid, u8 *reply_received,
				       u8 *bis_received, struct efi_pxe_base_code_packet *discover,
				       struct efi_pxe_base_code_packet *ack, struct efi_pxe_base_code_packet *offer,
				       struct efi_pxe_base_code_packet *pxe_discover,
				       struct efi_pxe_base_code_packet *reply, struct efi_pxe_base_code_packet *bis)
{
	(void)pxe;
	(void)discover_valid;
	(void)pxe_discover_valid;
	(void)reply_received;
	(void)bis_received;
	(void)discover;
	(void)pxe_discover;
	(void)reply;
	(void)bis;
	mode.dhcp_ack_received = *ack_received;
	mode.proxy_offer_received = *offer_received;
	mode.dhcp_ack = *ack;
	mode.proxy_offer = *offer;
	printf("packets ");
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI set_station_ip(struct efi_pxe_base_code *pxe, const struct efi_ip_address *station,
					  const struct efi_ip_address *mask)
{
	(void)pxe;
	mode.station_ip = *station;
	mode.subnet_mask = *mask;
	printf("station ");
	return EFI_SUCCESS;
}

static u8 read_packet(const char *hex, struct efi_pxe_base_code_packet *ret)
{
	for (u64 i = 0; i < strlen(hex) / 2 && i < sizeof(*ret); i++)
		sscanf(hex + 2 * i, "%2hhx", &ret->bytes[i]);
	return !!*hex;
}

int main(int argc, char **argv)
{
	static struct efi_boot_services services = {
		.handle_protocol = handle_protocol,
		.locate_handle_buffer = locate_handle_buffer,
		.locate_device_path = locate_device_path,
		.allocate_pool = allocate_pool,
		.free_pool = free_pool,
	};
	struct efi_pxe_base_code_mode before = { .started = true };

	if (argc != 6)
		return 2;
	pk_bs = &services;
	base_code = (struct efi_pxe_base_code){
		.start = start,
		.dhcp = dhcp,
		.set_packets = set_packets,
		.set_station_ip = set_station_ip,
		.mode = &mode,
	};
	before.dhcp_ack_received = read_packet(argv[1], &before.dhcp_ack);
	before.proxy_offer_received = read_packet(argv[2], &before.proxy_offer);
	before.station_ip.words[0] = inet_addr(argv[3]);
	before.subnet_mask.words[0] = inet_addr(argv[4]);
	dhcp_says = argv[5];
	mode = before;
	pk_pxe_save(NULL);
	memset(&mode, 0, sizeof(mode));
	pk_pxe_restore(1);
	printf("| ");
	pk_pxe_find_routers();
	printf("| %s %s\n", inet_ntoa((struct in_addr){ mode.station_ip.words[0] }),
	       memcmp(&mode.dhcp_ack, &before.dhcp_ack, sizeof(before.dhcp_ack)) ? "other" : "same");
	return 0;
}
