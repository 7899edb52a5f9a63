// SPDX-License-Identifier: Apache-2.0
/* The NVDIMM Firmware Interface Table (ACPI 6.5, 5.2.25), as far as it announces RAM disks. */
#include <common/mem.h>
#include <common/nfit.h>

enum {
	NFIT_HEADER_SIZE	= 40,
	NFIT_SPA_RANGE		= 0,
	NFIT_SPA_RANGE_SIZE	= 56,	/* later revisions append */
	NFIT_SPA_RANGE_START	= 32,
};

bool pk_nfit_has(const void *nfit, u64 size, u64 range_start, u64 range_size)
{
	const u8 *bytes = nfit;
	u64 offset = NFIT_HEADER_SIZE;

	while (offset < size && size - offset >= 2 * sizeof(u16)) {
		u16 head[2];	/* type, length */
		u64 limits[2];

		memcpy(head, bytes + offset, sizeof(head));
		if (head[1] < sizeof(head) || head[1] > size - offset)
			return false;
		if (head[0] == NFIT_SPA_RANGE && head[1] >= NFIT_SPA_RANGE_SIZE) {
			memcpy(limits, bytes + offset + NFIT_SPA_RANGE_START, sizeof(limits));
			if (limits[0] == range_start && limits[1] == range_size)
				return true;
		}
		offset += head[1];
	}
	return false;
}
