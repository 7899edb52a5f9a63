// SPDX-License-Identifier: Apache-2.0
/* Any bytes as a packet of Linux, cut into frames, which are joined again, and as frames of the wire. */
#include <native/segment.h>

#include "fuzz.h"

enum { STRIDE = 2048, FRAMES = 8 };

static void join(const u8 *frames, const u16 *sizes, u32 nr)
{
	struct pk_joined joined;
	u32 taken = pk_join(frames, STRIDE, sizes, nr, &joined);

	FUZZ_CHECK(taken <= nr);
	if (taken < 2)
		return;
	FUZZ_CHECK(joined.header_size <= sizeof(joined.bytes));
	for (u32 i = 0; i < taken; i++)
		FUZZ_CHECK(joined.header_size + joined.payload_size[i] <= sizes[i]);
}

static void cut(struct fuzz_input *input, u8 *frames, u16 *sizes)
{
	u32 capacity = fuzz_take(input, 2) % (STRIDE + 1);
	struct pk_packet_header header = { 0 };
	u32 packet_size, nr = 0, rounds = 0;
	struct pk_cut cut;
	u8 *packet;

	memcpy(&header, input->data, input->size < sizeof(header) ? input->size : sizeof(header));
	fuzz_take(input, sizeof(header));
	packet_size = input->size;
	packet = fuzz_copy(input->data, packet_size);
	if (pk_cut_begin(&cut, &header, packet, packet_size)) {
		while (!pk_cut_is_done(&cut)) {
			u8 *frame = malloc(capacity ? capacity : 1);
			u32 size;

			FUZZ_CHECK(frame && rounds++ <= packet_size);
			size = pk_cut_next(&cut, frame, capacity);
			FUZZ_CHECK(size <= capacity);
			if (nr < FRAMES) {
				memcpy(frames + nr * STRIDE, frame, size);
				sizes[nr++] = size;
			}
			free(frame);
			if (!size)
				break;
		}
	}
	free(packet);
	if (nr)
		join(frames, sizes, nr);
}

static void receive(struct fuzz_input *input, u8 *frames, u16 *sizes)
{
	u32 nr = fuzz_take(input, 1) % FRAMES + 1;

	for (u32 i = 0; i < nr; i++) {
		u32 size = fuzz_take(input, 2) % (STRIDE + 1);
		u32 given = size < input->size ? size : input->size;

		memcpy(frames + i * STRIDE, input->data, given);
		sizes[i] = size;
		input->data += given;
		input->size -= given;
	}
	join(frames, sizes, nr);
	if (nr > 1) {
		u8 *frame = fuzz_copy(frames, sizes[0]), *next = fuzz_copy(frames + STRIDE, sizes[1]);

		pk_supersedes(frame, sizes[0], next, sizes[1]);
		free(frame);
		free(next);
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fuzz_input input = { data, size };
	u8 *frames = calloc(FRAMES, STRIDE);
	u16 sizes[FRAMES] = { 0 };

	FUZZ_CHECK(frames);
	if (fuzz_take(&input, 1) & 1)
		cut(&input, frames, sizes);
	else
		receive(&input, frames, sizes);
	free(frames);
	return 0;
}
