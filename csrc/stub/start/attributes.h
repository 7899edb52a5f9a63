/* SPDX-License-Identifier: Apache-2.0 */
/* May memory that we took be executed? Where the firmware can be asked, it is told. */
#ifndef PK_STUB_ATTRIBUTES_H
#define PK_STUB_ATTRIBUTES_H

#include <efi/types.h>
#include <pykexec/abi.h>

struct pk_attributes {
	struct pk_range range;
	bool was_protected;	/* as the firmware gave it */
};

/* All in the firmware's world. What ranges, page aligned, are like now. */
void pk_attributes_init(struct pk_attributes *attributes, const struct pk_range *range);

/* Writable and executable: what Linux' EFI stub needs, which runs on the firmware's page tables. */
efi_status_t pk_attributes_open(const struct pk_attributes *attributes);

/* Data: Linux has page tables of its own, and nothing in the firmware's world executes what is there. */
void pk_attributes_close(const struct pk_attributes *attributes);

/* As the firmware gave it, before it gets it back. */
void pk_attributes_restore(const struct pk_attributes *attributes);

#endif
