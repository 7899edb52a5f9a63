// SPDX-License-Identifier: Apache-2.0
/* What the table of operations (pykexec/operations.def) says of each, and what is refused for it. */
#include <common/operations.h>

/* The words of the table's columns. */
enum {
	MAILBOX		= PK_CARRIER_MAILBOX,
	NATIVE		= PK_CARRIER_NATIVE,
	REQUEST		= PK_CARRIER_MAILBOX | PK_CARRIER_NATIVE,
	DESCRIPTOR	= PK_CARRIER_WINDOW | PK_CARRIER_NATIVE | PK_CARRIER_TRANSFER,
	/* No carrier has this bit. */
	ONLY_READ	= 0x8000,
	INPUT		= DESCRIPTOR | ONLY_READ,
};

/* GNU C: of size 0. */
struct pk_nothing {
};

const struct pk_operation pk_operations[] = {
#define OP(number, name, body, handler, timers, carriers, lock) FORM(name, body, handler, timers, carriers, lock)
#define FORM(name, body, handler, timers, carriers, lock) \
	{ PK_OP_##name, (carriers) & ~ONLY_READ, PK_TIMERS_##timers, PK_LOCK_##lock, sizeof(struct pk_##body), \
	  ((carriers) & ONLY_READ) != 0 },
#include <pykexec/operations.def>
};

const u32 pk_nr_operations = sizeof(pk_operations) / sizeof(pk_operations[0]);

const struct pk_operation *pk_operation_find(u32 number, u32 carrier)
{
	for (u32 i = 0; i < pk_nr_operations; i++)
		if (pk_operations[i].number == number && pk_operations[i].carriers & carrier)
			return &pk_operations[i];
	return NULL;
}

bool pk_operation_takes_descriptors(const struct pk_operation *operation)
{
	return operation->carriers & PK_CARRIER_WINDOW;
}

static bool is_closed(const struct pk_operation *operation, const void *body, u64 size)
{
	const struct pk_payload_request *request = body;

	switch (operation->lock) {
	case PK_LOCK_OPEN:
		return false;
	case PK_LOCK_KEXEC:
		return size >= sizeof(*request) && request->payload_size;
	default:
		return true;
	}
}

efi_status_t pk_operation_admit(const struct pk_operation *operation, u32 carrier, bool locked, const void *body,
				u64 size)
{
	if (!operation)
		return EFI_UNSUPPORTED;
	if (locked && carrier != PK_CARRIER_NATIVE && is_closed(operation, body, size))
		return EFI_ACCESS_DENIED;
	if (size < operation->smallest)
		return EFI_INVALID_PARAMETER;
	return EFI_SUCCESS;
}
