/* SPDX-License-Identifier: Apache-2.0 */
/* Framing of mailbox messages; what comes from Linux is untrusted and was copied beforehand. */
#ifndef PK_COMMON_MESSAGE_H
#define PK_COMMON_MESSAGE_H

#include <efi/types.h>
#include <pykexec/abi.h>

/* Walks the requests of a checked message. */
struct pk_message_reader {
	const u8 *data;
	u64 size;
	u64 offset;
	u32 nr_left;
};

/* EFI_INVALID_PARAMETER (data not 8-byte aligned, magic, sizes) or EFI_INCOMPATIBLE_VERSION. */
efi_status_t pk_message_open(const void *data, u64 size, struct pk_message_reader *ret);

/*
 * The next request with its body, or NULL at the end; *ret_body_size is without
 * padding. *ret_status is always written: EFI_BAD_BUFFER_SIZE when a record does
 * not fit or bytes follow the last, else EFI_SUCCESS.
 */
const struct pk_request *pk_message_next(struct pk_message_reader *reader, u64 *ret_body_size,
					 efi_status_t *ret_status);

/* Builds an answer in a bounded buffer. */
struct pk_message_writer {
	u8 *data;
	u64 capacity;
	u64 size;
	u32 nr_records;
};

void pk_message_begin(struct pk_message_writer *writer, void *data, u64 capacity, u32 sequence);

/* Room for the reply's body, *ret_capacity bytes, or NULL when not even the header fits. */
void *pk_message_body(struct pk_message_writer *writer, u64 *ret_capacity);

/*
 * Append the reply whose body_size bytes are in place at pk_message_body(). A
 * body larger than the room becomes an empty one with EFI_BUFFER_TOO_SMALL; a
 * reply whose header does not fit is left out.
 */
void pk_message_append(struct pk_message_writer *writer, const struct pk_request *request,
		       efi_status_t status, u64 body_size);

/* Write the header; the whole size, 0 when not even the header fits. */
u64 pk_message_finish(struct pk_message_writer *writer);

#endif
