// SPDX-License-Identifier: Apache-2.0
/*
 * What a payload finds of the network: "PK:network:snp:<state>" for each NIC, and for
 * each PXE base code that is started "PK:network:pxe:<address>:<status>:<size>", where
 * the last two are the size of its boot file as its TFTP server says it now.
 */
#include <efi/guids.h>
#include <efi/protocols.h>
#include <payload/console.h>

enum {
	TFTP_GET_FILE_SIZE	= 1,
	ACK_SERVER		= 20,	/* siaddr, RFC 2131 */
	ACK_FILE		= 108,
};

static struct efi_system_table *st;

static void show_nic(struct efi_simple_network *network)
{
	u64 state = network->mode->state;

	pk_put_values(u"PK:network:snp:", &state, 1);
}

static void show_pxe(struct efi_pxe_base_code *pxe)
{
	const u8 *ack = pxe->mode->dhcp_ack.bytes;
	struct efi_ip_address server = { 0 };
	efi_status_t status;
	u64 size = 0;

	if (!pxe->mode->started)
		return;
	__builtin_memcpy(server.words, ack + ACK_SERVER, sizeof(server.words[0]));
	status = pxe->mtftp(pxe, TFTP_GET_FILE_SIZE, NULL, false, &size, NULL, &server, ack + ACK_FILE, NULL, false);
	pk_put_values(u"PK:network:pxe:", (u64[]){ pxe->mode->station_ip.words[0], status, size }, 3);
}

static void for_each(const efi_guid_t *guid, void (*show)(void *))
{
	efi_handle_t *handles;
	void *interface;
	u64 nr = 0;

	if (EFI_ERROR(st->boot->locate_handle_buffer(EFI_BY_PROTOCOL, guid, NULL, &nr, &handles)))
		return;
	for (u64 i = 0; i < nr; i++)
		if (!EFI_ERROR(st->boot->handle_protocol(handles[i], guid, &interface)))
			show(interface);
}

EFIAPI efi_status_t efi_main(efi_handle_t image_handle, struct efi_system_table *system_table)
{
	(void)image_handle;
	st = system_table;
	pk_console_init(system_table);
	for_each(&efi_guid_simple_network, (void (*)(void *))show_nic);
	for_each(&efi_guid_pxe_base_code, (void (*)(void *))show_pxe);
	pk_put(u"PK:network:end:0\r\n");
	return EFI_SUCCESS;
}
