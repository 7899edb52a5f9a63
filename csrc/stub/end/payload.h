/* SPDX-License-Identifier: Apache-2.0 */
/* An image on its way into the firmware's LoadImage: the payload, or what runs while Linux waits. */
#ifndef PK_STUB_PAYLOAD_H
#define PK_STUB_PAYLOAD_H

#include <efi/protocols.h>
#include <pykexec/abi.h>
#include <stub/end/staged.h>

enum {
	/* The firmware's default for a started boot option (3.1.2): what hangs is not for ever. */
	PK_IMAGE_WATCHDOG_S = 5 * 60,
};

/* Check where it says it comes from, then LoadImage; its options stay where they are. */
efi_status_t pk_payload_load(const struct pk_payload *payload, efi_handle_t *ret_handle,
			     struct efi_loaded_image **ret_image);
/*
 * Start what Linux left to be started; returns the action to take now. give_back() is called
 * before it starts where no Linux can follow: the payload has the memory that one would need.
 */
enum pk_action pk_payload_run(void (*give_back)(void));

#endif
