/* SPDX-License-Identifier: Apache-2.0 */
/* An image on its way into the firmware's LoadImage: the payload, or what runs while Linux waits. */
#ifndef PK_STUB_PAYLOAD_H
#define PK_STUB_PAYLOAD_H

#include <stub/lib/stub.h>

enum {
	/* The firmware's default for a started boot option (3.1.2): what hangs is not for ever. */
	PK_IMAGE_WATCHDOG_S = 5 * 60,
};

struct pk_payload {
	u64 data;
	u64 size;
	void *device_path;
	bool from_memory;	/* the path is ours, not root's */
	const u16 *options;
	u32 options_size;
	u32 failure_action;
};

/* What PAYLOAD_STAGE and PAYLOAD_DATA brought; false: nothing, or not all of it. */
bool pk_payload_of_mailbox(struct pk_payload *ret);
/* It is not needed any more. */
void pk_payload_forget(void);
/* Check where it says it comes from, then LoadImage; its options stay where they are. */
efi_status_t pk_payload_load(const struct pk_payload *payload, efi_handle_t *ret_handle,
			     struct efi_loaded_image **ret_image);

#endif
