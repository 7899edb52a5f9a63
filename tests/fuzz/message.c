// SPDX-License-Identifier: Apache-2.0
/* Any bytes as a message; the answer that echoes it is well formed and inside its buffer. */
#include <common/message.h>

#include "fuzz.h"

static void check_answer(const u8 *answer, u64 size, u32 nr_records)
{
	u64 offset = sizeof(struct pk_message);
	struct pk_message header;

	memcpy(&header, answer, sizeof(header));
	FUZZ_CHECK(header.size == size && header.nr_records == nr_records);
	for (u32 i = 0; i < nr_records; i++) {
		struct pk_reply reply;

		FUZZ_CHECK(size - offset >= sizeof(reply));
		memcpy(&reply, answer + offset, sizeof(reply));
		FUZZ_CHECK(reply.size >= sizeof(reply) && reply.size <= size - offset);
		offset += (reply.size + 7ULL) & ~7ULL;
	}
	FUZZ_CHECK(offset == size);
}

static void echo(struct pk_message_reader *reader, u64 capacity, bool lie)
{
	const struct pk_request *request;
	struct pk_message_writer writer;
	u8 *answer = malloc(capacity ? capacity : 1);
	efi_status_t status;
	u64 body_size, size;

	FUZZ_CHECK(answer);
	pk_message_begin(&writer, answer, capacity, 1);
	while ((request = pk_message_next(reader, &body_size, &status))) {
		u64 room = 0;
		u8 *body = pk_message_body(&writer, &room);

		if (body && body_size <= room)
			memcpy(body, request + 1, body_size);
		pk_message_append(&writer, request, EFI_SUCCESS, lie ? body_size << 20 : body_size);
	}
	FUZZ_CHECK(status == EFI_SUCCESS || status == EFI_BAD_BUFFER_SIZE);
	size = pk_message_finish(&writer);
	FUZZ_CHECK(size <= capacity);
	if (size)
		check_answer(answer, size, writer.nr_records);
	free(answer);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fuzz_input input = { data, size };
	u64 capacity = fuzz_take(&input, 2);
	bool lie = fuzz_take(&input, 1) & 1;
	struct pk_message_reader reader;
	u8 *message = fuzz_copy(input.data, input.size);

	if (pk_message_open(message, input.size, &reader) == EFI_SUCCESS)
		echo(&reader, capacity, lie);
	free(message);
	return 0;
}
