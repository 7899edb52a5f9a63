// SPDX-License-Identifier: Apache-2.0
/* Descriptors: what the window and the mailbox carry for bulk data, handed to the device that they name. */
#include <pykexec/abi.h>
#include <stub/services/block.h>
#include <stub/services/net.h>
#include <stub/services/tpm.h>
#include <stub/services/transfer.h>
static efi_status_t transfer(struct pk_descriptor *descriptor, u8 *data)
{
	switch (descriptor->op) {
	case PK_OP_BLOCK_READ:
	case PK_OP_BLOCK_WRITE:
	case PK_OP_BLOCK_FLUSH:
		return pk_block_transfer(descriptor, data);
	case PK_OP_NET_EXCHANGE:
		return pk_net_exchange(descriptor, data);
	case PK_OP_TPM_COMMAND:
		return pk_tpm_command(descriptor, data);
	default:
		return EFI_UNSUPPORTED;
	}
}

void pk_transfer(struct pk_descriptor *descriptor, u8 *data)
{
	descriptor->result = 0;
	descriptor->status = transfer(descriptor, data);
}
