// SPDX-License-Identifier: Apache-2.0
/*
 * May memory that we took be executed? Strict firmware gives memory out as data, whatever its type,
 * and an image that says NX_COMPAT asks for what else it needs (UEFI 2.10, 37.7). Firmware without
 * the protocol cannot be asked; there loader's code is what may be executed.
 */
#include <efi/guids.h>
#include <efi/protocols.h>
#include <stub/lib/stub.h>
#include <stub/lib/test.h>
#include <stub/start/attributes.h>

static const u64 protected_bits = EFI_MEMORY_RP | EFI_MEMORY_XP | EFI_MEMORY_RO;

static struct efi_memory_attribute *protocol(void)
{
	struct efi_memory_attribute *found;

	if (EFI_ERROR(pk_bs->locate_protocol(&efi_guid_memory_attribute, NULL, (void **)&found)))
		return NULL;
	return found;
}

void pk_attributes_init(struct pk_attributes *attributes, const struct pk_range *range)
{
	struct efi_memory_attribute *memory = protocol();
	u64 found = 0;

	/* They differ within the range, or are not known: then it is no protection that is to come back. */
	if (memory && EFI_ERROR(memory->get(memory, range->start, range->size, &found)))
		found = 0;
	*attributes = (struct pk_attributes){ *range, found & EFI_MEMORY_XP };
}

efi_status_t pk_attributes_open(const struct pk_attributes *attributes)
{
	const struct pk_range *range = &attributes->range;
	struct efi_memory_attribute *memory = pk_test_attributes(protocol());
	u64 found;

	if (!memory || !range->size)
		return EFI_SUCCESS;
	if (!EFI_ERROR(memory->get(memory, range->start, range->size, &found)) && !(found & protected_bits))
		return EFI_SUCCESS;
	return memory->clear(memory, range->start, range->size, protected_bits);
}

void pk_attributes_close(const struct pk_attributes *attributes)
{
	const struct pk_range *range = &attributes->range;
	struct efi_memory_attribute *memory = protocol();

	if (memory && range->size)
		memory->set(memory, range->start, range->size, EFI_MEMORY_XP);
}

void pk_attributes_restore(const struct pk_attributes *attributes)
{
	if (attributes->was_protected)
		pk_attributes_close(attributes);
	else
		pk_attributes_open(attributes);
}
