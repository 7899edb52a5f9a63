// SPDX-License-Identifier: Apache-2.0
/* PCI functions for Linux, which looks at none itself: what they are. */
#include <efi/guids.h>
#include <efi/protocols.h>
#include <pykexec/abi.h>
#include <stub/services/identity.h>
#include <stub/services/pci.h>

enum {
	/* Of configuration space, in units of 16 bits. */
	VENDOR,
	DEVICE,
	REVISION = 4,	/* and above it the lowest byte of the class code */
	CLASS,
	NR_READ,
};

efi_status_t pk_pci_info(struct pk_call *call)
{
	const struct pk_handle_request *request = call->body;
	struct pk_interface interface;
	struct pk_pci_info reply;
	u16 header[NR_READ];
	efi_status_t status;

	status = pk_interface_borrow(request->handle, &efi_guid_pci_io, &interface);
	if (EFI_ERROR(status))
		return status;
	status = interface.pci->pci_read(interface.pci, EFI_PCI_IO_WIDTH_UINT16, 0, NR_READ, header);
	pk_interface_return(&interface);
	if (EFI_ERROR(status))
		return status;
	reply = (struct pk_pci_info){
		.vendor = header[VENDOR],
		.device = header[DEVICE],
		.class_code = (u32)header[CLASS] << 8 | header[REVISION] >> 8,
	};
	return pk_answer(call, &reply, sizeof(reply));
}
