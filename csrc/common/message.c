// SPDX-License-Identifier: Apache-2.0
/* Framing of mailbox messages. */
#include <common/mem.h>
#include <common/message.h>

enum { PK_RECORD_ALIGNMENT = 8 };

static u64 padded(u64 size)
{
	return (size + PK_RECORD_ALIGNMENT - 1) / PK_RECORD_ALIGNMENT * PK_RECORD_ALIGNMENT;
}

efi_status_t pk_message_open(const void *data, u64 size, struct pk_message_reader *ret)
{
	struct pk_message header;

	/* Records are handed out in place. */
	if ((uintptr_t)data % PK_RECORD_ALIGNMENT || size < sizeof(header) || size > PK_MESSAGE_MAX)
		return EFI_INVALID_PARAMETER;
	memcpy(&header, data, sizeof(header));
	if (header.magic != PK_MESSAGE_MAGIC)
		return EFI_INVALID_PARAMETER;
	if (header.version != PK_MESSAGE_VERSION)
		return EFI_INCOMPATIBLE_VERSION;
	if (header.size != size || header.nr_records > PK_BATCH_MAX)
		return EFI_INVALID_PARAMETER;

	*ret = (struct pk_message_reader){ data, size, sizeof(header), header.nr_records };
	return EFI_SUCCESS;
}

const struct pk_request *pk_message_next(struct pk_message_reader *reader, u64 *ret_body_size,
					 efi_status_t *ret_status)
{
	u64 left = reader->size - reader->offset;
	const struct pk_request *request;

	*ret_status = EFI_SUCCESS;
	if (!reader->nr_left) {
		if (left)
			*ret_status = EFI_BAD_BUFFER_SIZE;
		return NULL;
	}

	request = (const struct pk_request *)(reader->data + reader->offset);
	if (left < sizeof(*request) || request->size < sizeof(*request) || padded(request->size) > left) {
		*ret_status = EFI_BAD_BUFFER_SIZE;
		return NULL;
	}
	reader->offset += padded(request->size);
	reader->nr_left--;
	*ret_body_size = request->size - sizeof(*request);
	return request;
}

void pk_message_begin(struct pk_message_writer *writer, void *data, u64 capacity, u32 sequence)
{
	const struct pk_message header = {
		.magic = PK_MESSAGE_MAGIC,
		.version = PK_MESSAGE_VERSION,
		.sequence = sequence,
	};

	if (capacity > PK_MESSAGE_MAX)
		capacity = PK_MESSAGE_MAX;
	/* Whole records only: padding then always fits. */
	capacity -= capacity % PK_RECORD_ALIGNMENT;
	*writer = (struct pk_message_writer){ .data = data, .capacity = capacity };
	if (writer->capacity < sizeof(header))
		return;
	memcpy(data, &header, sizeof(header));
	writer->size = sizeof(header);
}

void *pk_message_body(struct pk_message_writer *writer, u64 *ret_capacity)
{
	u64 left = writer->capacity - writer->size;

	if (!writer->size || left < sizeof(struct pk_reply) || writer->nr_records == PK_BATCH_MAX)
		return NULL;
	*ret_capacity = left - sizeof(struct pk_reply);
	return writer->data + writer->size + sizeof(struct pk_reply);
}

void pk_message_append(struct pk_message_writer *writer, const struct pk_request *request,
		       efi_status_t status, u64 body_size)
{
	struct pk_reply reply = { .op = request->op, .tag = request->tag, .status = status };
	u64 room;
	u8 *body = pk_message_body(writer, &room);

	if (!body)
		return;
	if (body_size > room) {
		reply.status = EFI_BUFFER_TOO_SMALL;
		body_size = 0;
	}
	reply.size = sizeof(reply) + body_size;
	memcpy(writer->data + writer->size, &reply, sizeof(reply));
	memset(body + body_size, 0, padded(body_size) - body_size);
	writer->size += padded(reply.size);
	writer->nr_records++;
}

u64 pk_message_finish(struct pk_message_writer *writer)
{
	struct pk_message header;

	if (!writer->size)
		return 0;
	memcpy(&header, writer->data, sizeof(header));
	header.nr_records = writer->nr_records;
	header.size = writer->size;
	memcpy(writer->data, &header, sizeof(header));
	return writer->size;
}
