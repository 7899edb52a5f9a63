// SPDX-License-Identifier: Apache-2.0
/*
 * Whole sequences of messages, bells and native calls, to a stub whose firmware's devices
 * come and go meanwhile (world/): nothing that was freed is used, a number stands for one
 * device for good, nobody waits for timers that stand still, and what Linux is told is so.
 */
#include <efi/guids.h>
#include <stub/lib/stub.h>

#include "fuzz.h"
#include "world/resident.h"
#include "world/world.h"

enum {
	NR_STEPS = 64,
	NR_KNOWN = 64,		/* numbers that Linux was told */
	NR_REQUESTS = 6,
	NR_DESCRIPTORS = 4,
	NR_CHANNELS = 3,
	SLOT = 65536,		/* of the window, for a descriptor's data */
	DATA_SIZE = 4096,
};

enum step {
	STEP_PLAN,
	STEP_MESSAGE,
	STEP_POST,
	STEP_BELL,
	STEP_QUERY,
	STEP_NATIVE,
	STEP_VARIABLE,
	STEP_NEXT_LINUX,
	STEP_CLAIM,
	NR_OF_STEPS,
};

static struct fuzz_input input;
static u32 known[NR_KNOWN], nr_known;
/* Whom a number has stood for. */
static struct {
	u32 number;
	u32 serial;
} seen[NR_KNOWN];
static u32 nr_seen;
/* What Linux has made of the window, and what lies in it while it may be its own memory. */
static bool window_is_open, window_is_memory, window_is_touched;
static u8 window_before[PK_WINDOW_DATA];
static u8 message[PK_MESSAGE_MAX] __attribute__((aligned(8)));
static u8 answer[PK_MESSAGE_MAX] __attribute__((aligned(8)));

static u16 mailbox_name[] = u"" PK_MAILBOX_NAME, bell_name[] = u"" PK_BELL_NAME;

static u32 choose_number(void)
{
	u32 n = (u32)fuzz_take(&input, 1);

	return n < 8 * NR_KNOWN / 9 && nr_known ? known[n % nr_known] : n;
}

/* Known as well: those that were not given out yet must mean nothing. */
static void learn(u32 number)
{
	for (u32 i = 0; i < nr_known; i++)
		if (known[i] == number)
			return;
	FUZZ_CHECK(number);
	known[nr_known++ % NR_KNOWN] = number;
	if (nr_known > NR_KNOWN)
		nr_known = NR_KNOWN;
}

static void check_serial(u32 number, const u8 *data)
{
	u32 serial;

	memcpy(&serial, data, WORLD_SERIAL_SIZE);
	for (u32 i = 0; i < nr_seen; i++)
		if (seen[i].number == number) {
			FUZZ_CHECK(seen[i].serial == serial);
			return;
		}
	if (nr_seen < NR_KNOWN) {
		seen[nr_seen].number = number;
		seen[nr_seen++].serial = serial;
	}
}

/* ---- messages ---- */

static const u16 mailbox_ops[] = {
	PK_OP_HANDLES, PK_OP_BLOCK_INFO, PK_OP_BLOCK_READ, PK_OP_BLOCK_REFRESH, PK_OP_CONNECT, PK_OP_SELF_TEST,
	PK_OP_NET_INFO, PK_OP_NET_OPEN, PK_OP_NET_CLOSE, PK_OP_NET_STATISTICS, PK_OP_NET_PXE, PK_OP_RAMDISK_CREATE,
	PK_OP_RAMDISK_REGISTER, PK_OP_RAMDISK_REMOVE, PK_OP_RAMDISK_LIST, PK_OP_IMAGE_START, PK_OP_INFO, PK_OP_TRANSFER,
	PK_OP_SECRETS, PK_OP_VOLUME_INFO, PK_OP_RAMDISK_DATA, PK_OP_CONSOLE_INFO, PK_OP_CONSOLE_KEYS,
	PK_OP_CONSOLE_TEXT, PK_OP_CONSOLE_DRAW, PK_OP_PCI_INFO,
};

/* Of any size and in any place, with rows that are right for it or too short by a byte. */
static u64 fill_bitmap(struct pk_bitmap_request *bitmap)
{
	u64 size;

	*bitmap = (struct pk_bitmap_request){
		.x = (u32)fuzz_take(&input, 1),
		.y = (u32)fuzz_take(&input, 4),
		.width = (u32)fuzz_take(&input, 1),
		.height = (u32)fuzz_take(&input, 1) % 64,
		.scale = (u32)fuzz_take(&input, 1) % 8,
	};
	size = (bitmap->width + 7) / 8 * bitmap->height;
	memset(bitmap + 1, 0x5a, size);
	return sizeof(*bitmap) + size - (size && fuzz_take(&input, 1) & 1);
}

static u64 fill_text(struct pk_text_request *text)
{
	u16 *characters = (u16 *)(text + 1);
	u32 nr = (u32)fuzz_take(&input, 1) % 4;

	*text = (struct pk_text_request){
		.flags = (u32)fuzz_take(&input, 1),
		.column = (u16)fuzz_take(&input, 1),
		.row = (u16)fuzz_take(&input, 1),
		.attribute = (u32)fuzz_take(&input, 1),
	};
	for (u32 i = 0; i < nr; i++)
		characters[i] = (u16)fuzz_take(&input, 1);
	return sizeof(*text) + nr * sizeof(*characters);
}

static u64 fill_body(u16 op, u8 *body, u32 *ret_number)
{
	struct pk_ramdisk_request *ramdisk = (void *)body;
	struct pk_block_request *block = (void *)body;
	struct pk_descriptor *descriptor = (void *)body;

	*ret_number = 0;
	switch (op) {
	case PK_OP_RAMDISK_CREATE:
		*ramdisk = (struct pk_ramdisk_request){
			.size = 8192,
			.flags = fuzz_take(&input, 1) & 1 ? PK_RAMDISK_BLOCK : 0,
		};
		memcpy(ramdisk->type, &efi_guid_virtual_disk, sizeof(ramdisk->type));
		return sizeof(*ramdisk);
	case PK_OP_RAMDISK_REGISTER:
	case PK_OP_RAMDISK_REMOVE:
		*(struct pk_ramdisk_number *)body = (struct pk_ramdisk_number){ (u32)fuzz_take(&input, 1) % 5, 0 };
		return sizeof(struct pk_ramdisk_number);
	case PK_OP_RAMDISK_DATA:
		*(struct pk_ramdisk_data *)body = (struct pk_ramdisk_data){ (u32)fuzz_take(&input, 1) % 5, 0, 64 };
		memset((struct pk_ramdisk_data *)body + 1, 0xab, 64);
		return sizeof(struct pk_ramdisk_data) + 64;
	case PK_OP_SELF_TEST:
		*(struct pk_self_test_request *)body = (struct pk_self_test_request){ 1000, 1000 };
		return sizeof(struct pk_self_test_request);
	case PK_OP_BLOCK_READ:
		*ret_number = choose_number();
		*block = (struct pk_block_request){ *ret_number, (u32)fuzz_take(&input, 1) % 4, 0, 512 };
		return sizeof(*block);
	case PK_OP_TRANSFER:
		*descriptor = (struct pk_descriptor){
			.op = fuzz_take(&input, 1) & 1 ? PK_OP_BLOCK_READ : PK_OP_BLOCK_WRITE,
			.handle = choose_number(),
			.size = 512,
			.media_id = (u32)fuzz_take(&input, 1) % 4,
		};
		memset(descriptor + 1, 0, 512);
		return sizeof(*descriptor) + 512;
	case PK_OP_CONSOLE_KEYS:
		*(struct pk_keys_request *)body = (struct pk_keys_request){ (u32)fuzz_take(&input, 1) % 4, 0 };
		return sizeof(struct pk_keys_request);
	case PK_OP_CONSOLE_TEXT:
		return fill_text((void *)body);
	case PK_OP_CONSOLE_DRAW:
		return fill_bitmap((void *)body);
	case PK_OP_HANDLES:
		*(struct pk_handles_request *)body = (struct pk_handles_request){ 0 };
		return sizeof(struct pk_handles_request);
	default:
		*(struct pk_handle_request *)body = (struct pk_handle_request){ .handle = choose_number() };
		return sizeof(struct pk_handle_request);
	}
}

static void read_reply(const struct pk_reply *reply, u32 number)
{
	const u8 *body = (const u8 *)(reply + 1);
	const struct pk_handles_reply *handles = (const void *)body;
	const struct pk_ramdisk_entry *ramdisk = (const void *)body;

	if (reply->status != EFI_SUCCESS)
		return;
	if (reply->op == PK_OP_HANDLES) {
		const u8 *at = body + sizeof(*handles);

		for (u32 i = 0; i < handles->nr_entries; i++) {
			learn(((const struct pk_handle_entry *)at)->handle);
			at += ((const struct pk_handle_entry *)at)->size;
		}
	}
	if (reply->op == PK_OP_RAMDISK_REGISTER)
		learn(ramdisk->handle);
	if (reply->op == PK_OP_BLOCK_READ)
		check_serial(number, body);
}

static void exchange(u64 size)
{
	efi_guid_t vendor = efi_guid_pykexec_mailbox;
	u64 answer_size = sizeof(answer);
	u32 attributes;

	FUZZ_CHECK(stub_services.set_variable(mailbox_name, &vendor, 7, size, message) == EFI_SUCCESS);
	FUZZ_CHECK(stub_services.get_variable(mailbox_name, &vendor, &attributes, &answer_size, answer) ==
		   EFI_SUCCESS);
}

static void send_message(void)
{
	u32 nr = 1 + (u32)fuzz_take(&input, 1) % NR_REQUESTS;
	struct pk_message *header = (void *)message;
	u32 numbers[NR_REQUESTS];
	u64 size = sizeof(*header), offset = sizeof(*header);

	for (u32 i = 0; i < nr; i++) {
		struct pk_request *request = (void *)(message + size);
		u16 op = mailbox_ops[fuzz_take(&input, 1) % (sizeof(mailbox_ops) / sizeof(mailbox_ops[0]))];
		u64 body_size = fill_body(op, (u8 *)(request + 1), &numbers[i]);

		*request = (struct pk_request){ .op = op, .size = (u32)(sizeof(*request) + body_size), .tag = i };
		size += (request->size + 7ULL) & ~7ULL;
	}
	*header = (struct pk_message){ PK_MESSAGE_MAGIC, PK_MESSAGE_VERSION, (u16)nr, (u32)size, 0 };
	exchange(size);
	for (u32 i = 0; i < ((struct pk_message *)answer)->nr_records; i++) {
		const struct pk_reply *reply = (const void *)(answer + offset);

		read_reply(reply, numbers[i]);
		offset += (reply->size + 7ULL) & ~7ULL;
	}
}

/* ---- descriptors ---- */

static const u16 descriptor_ops[] = {
	PK_OP_BLOCK_READ, PK_OP_BLOCK_READ, PK_OP_BLOCK_WRITE, PK_OP_BLOCK_FLUSH, PK_OP_NET_EXCHANGE,
};

static struct pk_descriptor a_descriptor(u64 offset)
{
	struct pk_descriptor descriptor = {
		.op = descriptor_ops[fuzz_take(&input, 1) % (sizeof(descriptor_ops) / sizeof(descriptor_ops[0]))],
		.handle = choose_number(),
		.offset = offset,
		.size = DATA_SIZE,
		.status = EFI_ABORTED,
		.media_id = (u32)fuzz_take(&input, 1) % 4,
	};

	if (descriptor.op == PK_OP_NET_EXCHANGE)
		descriptor.size = PK_NET_EXCHANGE_SIZE;
	return descriptor;
}

static void begin_data(const struct pk_descriptor *descriptor, u8 *data)
{
	struct pk_net_exchange *exchange = (void *)data;

	if (descriptor->op != PK_OP_NET_EXCHANGE)
		return;
	*exchange = (struct pk_net_exchange){ .nr_transmit = 2, .nr_receive = 2, .transmit_size = { 60, 60 } };
}

static void check_data(const struct pk_descriptor *descriptor, const u8 *data)
{
	const struct pk_net_exchange *exchange = (const void *)data;

	if (descriptor->status != EFI_SUCCESS)
		return;
	if (descriptor->op == PK_OP_BLOCK_READ)
		check_serial(descriptor->handle, data);
	if (descriptor->op == PK_OP_NET_EXCHANGE && exchange->nr_receive)
		check_serial(descriptor->handle, data + PK_NET_FRAMES + PK_NET_SLOTS * PK_NET_SLOT_SIZE);
}

static struct pk_window *window(void)
{
	return (struct pk_window *)pk_handoff.window.start;
}

static void post(void)
{
	u32 number = (u32)fuzz_take(&input, 1) % NR_CHANNELS;
	u8 *page = (u8 *)window() + (number + 1) * PK_PAGE_SIZE;
	struct pk_counters *counters = &window()->counters[number];
	u32 slot = counters->posted % PK_CHANNEL_DEPTH;
	u64 offset = PK_WINDOW_DATA + (number * PK_CHANNEL_DEPTH + slot) % 8 * (4 * SLOT + SLOT);
	struct pk_descriptor descriptor = a_descriptor(offset);

	if (counters->posted - counters->served == PK_CHANNEL_DEPTH)
		return;
	window_is_touched = true;
	begin_data(&descriptor, (u8 *)window() + descriptor.offset);
	((struct pk_channel *)page)->descriptors[slot] = descriptor;
	counters->posted++;
}

/* What a bell has served is looked at at once: later data take its place. */
static void look_at_served(const u32 *before)
{
	for (u32 number = 0; number < NR_CHANNELS; number++) {
		const struct pk_channel *channel = (void *)((u8 *)window() + (number + 1) * PK_PAGE_SIZE);

		FUZZ_CHECK(window()->counters[number].served == window()->counters[number].posted);
		/* One by one: data of eight descriptors have their own places. */
		for (u32 n = before[number]; n != window()->counters[number].served; n++) {
			const struct pk_descriptor *descriptor = &channel->descriptors[n % PK_CHANNEL_DEPTH];

			FUZZ_CHECK(descriptor->status != EFI_ABORTED);
			if (window()->counters[number].served - n == 1)
				check_data(descriptor, (u8 *)window() + descriptor->offset);
		}
	}
}

static void ring(bool query)
{
	u32 before[NR_CHANNELS];
	u64 max, left = 0, max_size;
	efi_guid_t vendor = efi_guid_pykexec_mailbox;
	u8 byte = 0;

	for (u32 i = 0; i < NR_CHANNELS; i++)
		before[i] = window()->counters[i].served;
	if (query) {
		FUZZ_CHECK(stub_services.query_variable_info(7, &max, &left, &max_size) == EFI_SUCCESS);
		FUZZ_CHECK(left == world_variables_left());
	} else {
		stub_services.set_variable(bell_name, &vendor, 7, 1, &byte);
	}
	if (window_is_open)
		look_at_served(before);
}

/* Only what lies there untouched, by who reads its cookie, and never if it was said to be memory. */
static void claim(void)
{
	u32 how = (u32)fuzz_take(&input, 1);
	struct {
		struct pk_message header;
		struct pk_request head;
		struct pk_window_request body;
	} *request = (void *)message;
	const struct pk_reply *reply = (const void *)(answer + sizeof(struct pk_message));
	u32 use = how & 1 ? PK_WINDOW_IS_MEMORY : PK_WINDOW_SET_ASIDE;
	bool may = use == PK_WINDOW_IS_MEMORY ? !window_is_open :
						!(how & 2) && !window_is_memory &&
						(window_is_open || !window_is_touched);

	request->header = (struct pk_message){ PK_MESSAGE_MAGIC, PK_MESSAGE_VERSION, 1, sizeof(*request), 0 };
	request->head = (struct pk_request){
		.op = PK_OP_WINDOW,
		.size = sizeof(request->head) + sizeof(request->body),
	};
	request->body = (struct pk_window_request){ .cookie = window()->cookie + (how & 2), .use = use };
	exchange(sizeof(*request));
	FUZZ_CHECK((reply->status == EFI_SUCCESS) == may);
	if (may && use == PK_WINDOW_IS_MEMORY)
		window_is_memory = true;
	else if (may)
		window_is_open = true;
}

static void call_natively(void)
{
	u32 nr = 1 + (u32)fuzz_take(&input, 1) % NR_DESCRIPTORS;
	struct pk_descriptor *requests = (void *)stub_linux_memory;

	for (u32 i = 0; i < nr; i++) {
		requests[i] = a_descriptor((u64)stub_linux_memory + PK_PAGE_SIZE * (i + 1));
		if (requests[i].op == PK_OP_NET_EXCHANGE)
			requests[i].op = PK_OP_BLOCK_INFO;
		if (requests[i].op == PK_OP_BLOCK_INFO)
			*(struct pk_handle_request *)requests[i].offset =
				(struct pk_handle_request){ .handle = choose_number() };
	}
	FUZZ_CHECK(stub_native_call()((u64)requests, nr) == EFI_SUCCESS);
	for (u32 i = 0; i < nr; i++)
		check_data(&requests[i], (u8 *)requests[i].offset);
}

static void set_a_variable(void)
{
	static u16 name[] = u"Name";
	efi_guid_t vendor = { 0 };
	u8 value[64] = { 0 };

	stub_services.set_variable(name, &vendor, 7, sizeof(value), value);
}

static void begin_linux(void)
{
	window_is_open = false;
	window_is_memory = false;
	window_is_touched = false;
}

static void take_step(enum step step)
{
	switch (step) {
	case STEP_PLAN: {
		u32 delay = (u32)fuzz_take(&input, 1) % 64;
		enum world_action action = fuzz_take(&input, 1) % WORLD_NR_ACTIONS;

		world_plan(delay, action, (u32)fuzz_take(&input, 1));
		break;
	}
	case STEP_MESSAGE:
		send_message();
		break;
	case STEP_POST:
		post();
		break;
	case STEP_BELL:
		ring(false);
		break;
	case STEP_QUERY:
		ring(true);
		break;
	case STEP_NATIVE:
		call_natively();
		break;
	case STEP_VARIABLE:
		set_a_variable();
		break;
	case STEP_NEXT_LINUX:
		stub_next_linux();
		begin_linux();
		break;
	default:
		claim();
		break;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	input = (struct fuzz_input){ data, size };
	nr_known = 0;
	nr_seen = 0;
	stub_start();
	begin_linux();
	for (u32 i = 0; i < NR_STEPS && input.size; i++) {
		enum step step = fuzz_take(&input, 1) % NR_OF_STEPS;
		bool is_ours = window_is_open || step == STEP_POST || step == STEP_NEXT_LINUX;

		if (!is_ours)
			memcpy(window_before, window(), sizeof(window_before));
		take_step(step);
		/* It may be anything of Linux'. */
		if (!is_ours)
			FUZZ_CHECK(!memcmp(window_before, window(), sizeof(window_before)));
	}
	stub_end();
	return 0;
}
