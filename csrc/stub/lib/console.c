// SPDX-License-Identifier: Apache-2.0
/* Words for the person at the console, stage markers for programs, both kept in the handoff's trace. */
#include <stub/lib/console.h>
#include <stub/lib/io.h>
#include <stub/lib/stub.h>

enum { PIECE = 80 };

/* Firmware moves its cursor with each call, whatever that brings. */
struct piece {
	u32 length;
	u16 text[PIECE + 1];
};

static void show(struct piece *piece)
{
	piece->text[piece->length] = 0;
	if (pk_st->con_out && piece->length)
		pk_st->con_out->output_string(pk_st->con_out, piece->text);
	piece->length = 0;
}

static void put(struct piece *piece, u16 c)
{
	/* Room for two. */
	if (piece->length + 1 >= PIECE)
		show(piece);
	if (c == '\n')
		piece->text[piece->length++] = '\r';
	piece->text[piece->length++] = c;
}

static void put_number(struct piece *piece, u64 value, u32 base)
{
	char digits[24];
	u32 n = 0;

	do {
		digits[n++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	while (n)
		put(piece, (u16)digits[--n]);
}

void pk_print(const char *format, ...)
{
	__builtin_va_list arguments;
	struct piece piece;

	piece.length = 0;
	__builtin_va_start(arguments, format);
	for (; *format; format++) {
		if (*format != '%') {
			put(&piece, (u16)*format);
			continue;
		}
		switch (*++format) {
		case 's':
			for (const char *s = __builtin_va_arg(arguments, const char *); *s; s++)
				put(&piece, (u8)*s);
			break;
		case 'S':
			for (const u16 *s = __builtin_va_arg(arguments, const u16 *); *s; s++)
				put(&piece, *s);
			break;
		case 'x':
			put_number(&piece, __builtin_va_arg(arguments, u64), 16);
			break;
		case 'd':
			put_number(&piece, __builtin_va_arg(arguments, u64), 10);
			break;
		}
	}
	__builtin_va_end(arguments);
	show(&piece);
}

static const char *stage_name(enum pk_stage stage)
{
	/* A switch, not a table: the compiler warns of a stage without a name. */
	switch (stage) {
	case PK_STAGE_START: return "start";
	case PK_STAGE_SECTIONS: return "sections";
	case PK_STAGE_MEASURE: return "measure";
	case PK_STAGE_ARENA: return "arena";
	case PK_STAGE_KERNEL: return "kernel";
	case PK_STAGE_CONTEXT: return "context";
	case PK_STAGE_LINUX: return "linux";
	case PK_STAGE_EXIT_BS: return "exit_bs";
	case PK_STAGE_RESUME: return "resume";
	case PK_STAGE_HANDOFF: return "handoff";
	case PK_STAGE_FIRMWARE: return "firmware";
	case PK_STAGE_LOAD: return "load";
	case PK_STAGE_STARTED: return "started";
	case PK_STAGE_RETURNED: return "returned";
	case PK_STAGE_LEAVE: return "leave";
	case PK_STAGE_ACTION: return "action";
	case PK_STAGE_READY: return "ready";
	case PK_STAGE_TICKS: return "ticks";
	}
	return "?";
}

void pk_trace(enum pk_stage stage, efi_status_t status)
{
	struct pk_trace_entry *entry = &pk_handoff.trace[pk_handoff.nr_trace % PK_TRACE_MAX];

	*entry = (struct pk_trace_entry){
		.component = PK_COMPONENT_STUB,
		.stage = stage,
		.sequence = ++pk_handoff.nr_trace,
		.tsc = pk_rdtsc(),
		.status = status,
	};
}

efi_status_t pk_stage(enum pk_stage stage, efi_status_t status)
{
	pk_trace(stage, status);
	pk_print(status ? "PK:stub:%s:0x%x\n" : "PK:stub:%s:%x\n", stage_name(stage), status);
	return status;
}
