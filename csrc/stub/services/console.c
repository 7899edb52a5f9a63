// SPDX-License-Identifier: Apache-2.0
/*
 * The firmware's console for Linux: ConIn, ConOut, and the screen behind it (UEFI 2.10, 12). They
 * are asked for anew each time, and nothing that Linux says is an address or leaves the screen.
 */
#include <efi/guids.h>
#include <stub/lib/stub.h>
#include <stub/lib/test.h>
#include <stub/services/console.h>

enum {
	ATTRIBUTE_MAX = 0x7f,	/* 12.4.6: 16 colours on 8 */
	COLOUR_MAX = 0xffffff,
	POLL_US = 1000,
	TEXT_FLAGS = PK_TEXT_CLEAR | PK_TEXT_PLACE | PK_TEXT_COLOUR | PK_TEXT_CURSOR_SHOWN | PK_TEXT_CURSOR_HIDDEN,
};

static struct efi_simple_text_input_ex *extended_input(void)
{
	void *found;

	if (!pk_st->con_in_handle ||
	    EFI_ERROR(pk_bs->handle_protocol(pk_st->con_in_handle, &efi_guid_simple_text_input_ex, &found)))
		return NULL;
	return found;
}

/* ConOut's own, which stands for all screens of a console, or else the only one. */
static struct efi_graphics_output *screen(void)
{
	struct efi_graphics_output *graphics;
	void *found;

	if (!pk_st->con_out_handle ||
	    EFI_ERROR(pk_bs->handle_protocol(pk_st->con_out_handle, &efi_guid_graphics_output, &found))) {
		if (EFI_ERROR(pk_bs->locate_protocol(&efi_guid_graphics_output, NULL, &found)))
			return NULL;
	}
	graphics = found;
	return graphics->mode && graphics->mode->info ? graphics : NULL;
}

/* Columns and rows of the mode that is set; 0 where nobody says. */
static void text_size(u64 *columns, u64 *rows)
{
	struct efi_simple_text_output *out = pk_st->con_out;

	*columns = 0;
	*rows = 0;
	if (out && out->mode && EFI_ERROR(out->query_mode(out, out->mode->mode, columns, rows))) {
		*columns = 0;
		*rows = 0;
	}
}

efi_status_t pk_console_info(struct pk_call *call)
{
	struct efi_graphics_output *graphics = screen();
	struct efi_simple_text_output *out = pk_st->con_out;
	struct pk_console_info reply = { 0 };
	u64 columns, rows;

	text_size(&columns, &rows);
	reply.columns = (u32)columns;
	reply.rows = (u32)rows;
	if (pk_st->con_in)
		reply.flags |= PK_CONSOLE_KEYS;
	if (extended_input())
		reply.flags |= PK_CONSOLE_KEYS | PK_CONSOLE_MODIFIERS;
	if (columns && rows)
		reply.flags |= PK_CONSOLE_TEXT;
	if (out && out->mode) {
		reply.cursor_column = out->mode->cursor_column;
		reply.cursor_row = out->mode->cursor_row;
	}
	if (graphics) {
		reply.flags |= PK_CONSOLE_SCREEN;
		reply.width = graphics->mode->info->horizontal_resolution;
		reply.height = graphics->mode->info->vertical_resolution;
	}
	return pk_answer(call, &reply, sizeof(reply));
}

static efi_status_t read_key(struct efi_simple_text_input_ex *extended, struct pk_key *ret)
{
	struct efi_simple_text_input *plain = pk_st->con_in;
	struct efi_key_data data = { 0 };
	efi_status_t status;

	if (extended)
		status = extended->read_key_stroke_ex(extended, &data);
	else if (plain)
		status = plain->read_key_stroke(plain, &data.key);
	else
		return EFI_UNSUPPORTED;
	if (EFI_ERROR(status))
		return status;
	*ret = (struct pk_key){
		.scan_code = data.key.scan_code,
		.character = data.key.unicode_char,
		.modifiers = data.shift_state & EFI_SHIFT_STATE_VALID ? data.shift_state : 0,
	};
	return EFI_SUCCESS;
}

efi_status_t pk_console_keys(struct pk_call *call)
{
	const struct pk_keys_request *request = call->body;
	struct efi_simple_text_input_ex *extended = extended_input();
	u64 room = call->capacity / sizeof(struct pk_key), nr = 0;
	struct pk_key *keys = call->answer;
	u32 wait_ms = request->wait_ms;
	efi_status_t status;

	if (wait_ms > PK_KEYS_WAIT_MAX_MS)
		return EFI_INVALID_PARAMETER;
	if (room > PK_KEYS_MAX)
		room = PK_KEYS_MAX;
	if (!room)
		return EFI_BUFFER_TOO_SMALL;
	for (;;) {
		struct pk_key key;

		status = read_key(extended, &key);
		if (!EFI_ERROR(status))
			keys[nr++] = key;
		if (nr == room || (EFI_ERROR(status) && (status != EFI_NOT_READY || nr || !wait_ms)))
			break;
		/* Keyboards are looked at by timers, which run meanwhile. */
		if (EFI_ERROR(status)) {
			pk_bs->stall(POLL_US);
			wait_ms--;
		}
	}
	/* A keyboard that fails after some keys will say so again. */
	if (!nr && status != EFI_NOT_READY)
		return status;
	call->answered = nr * sizeof(struct pk_key);
	return EFI_SUCCESS;
}

/* Nothing, or whole characters of which the last alone is the terminator. */
static bool is_text(const u16 *text, u64 size)
{
	if (size % sizeof(*text))
		return false;
	for (u64 i = 0; i < size / sizeof(*text); i++)
		if (!text[i] != (i == size / sizeof(*text) - 1))
			return false;
	return true;
}

efi_status_t pk_console_write(struct pk_call *call)
{
	const u16 *text = call->body;

	if (!call->size || !is_text(text, call->size))
		return EFI_INVALID_PARAMETER;
	if (!pk_st->con_out)
		return EFI_UNSUPPORTED;
	return pk_st->con_out->output_string(pk_st->con_out, (u16 *)text);
}

static bool is_text_request(const struct pk_text_request *request, u64 size)
{
	u64 columns, rows;

	if (request->flags & ~(u32)TEXT_FLAGS || !is_text((const u16 *)(request + 1), size - sizeof(*request)))
		return false;
	if (request->flags & PK_TEXT_COLOUR && request->attribute > ATTRIBUTE_MAX)
		return false;
	text_size(&columns, &rows);
	return !(request->flags & PK_TEXT_PLACE) || pk_test_screen(request->column < columns && request->row < rows);
}

efi_status_t pk_console_text(struct pk_call *call)
{
	const struct pk_text_request *request = call->body;
	struct efi_simple_text_output *out = pk_st->con_out;
	efi_status_t status = EFI_SUCCESS;

	if (!is_text_request(request, call->size))
		return EFI_INVALID_PARAMETER;
	if (!out)
		return EFI_UNSUPPORTED;
	/* A terminal without colours or cursor still shows the text: what it says of these is not looked at. */
	if (request->flags & PK_TEXT_COLOUR)
		out->set_attribute(out, request->attribute);
	if (request->flags & PK_TEXT_CLEAR)
		status = out->clear_screen(out);
	if (request->flags & PK_TEXT_PLACE && !EFI_ERROR(status))
		status = out->set_cursor_position(out, request->column, request->row);
	if (request->flags & (PK_TEXT_CURSOR_SHOWN | PK_TEXT_CURSOR_HIDDEN))
		out->enable_cursor(out, !!(request->flags & PK_TEXT_CURSOR_SHOWN));
	if (call->size > sizeof(*request) && !EFI_ERROR(status))
		status = out->output_string(out, (u16 *)(request + 1));
	return status;
}

/* Is a bitmap of these dots, whose rows have size bytes, within width x height pixels? */
static bool is_bitmap(const struct pk_bitmap_request *request, u64 size, u64 width, u64 height)
{
	if (!request->width || request->width > PK_BITMAP_MAX || !request->height || request->height > PK_BITMAP_MAX)
		return false;
	if (!request->scale || request->scale > PK_BITMAP_SCALE_MAX)
		return false;
	if (request->foreground > COLOUR_MAX || request->background > COLOUR_MAX)
		return false;
	if (size != (u64)((request->width + 7) / 8) * request->height)
		return false;
	/* None of it is beyond 2^33. */
	return pk_test_screen(request->x + (u64)request->width * request->scale <= width &&
			      request->y + (u64)request->height * request->scale <= height);
}

static bool is_set(const u8 *row, u32 column)
{
	return row[column / 8] >> (7 - column % 8) & 1;
}

/* A run of dots is filled at once: no buffer is needed for any scale. */
static efi_status_t draw_row(struct efi_graphics_output *graphics, const struct pk_bitmap_request *request,
			     const u8 *row, u32 number)
{
	u64 scale = request->scale;

	for (u32 start = 0, end; start < request->width; start = end) {
		u32 pixel = is_set(row, start) ? request->foreground : request->background;
		efi_status_t status;

		for (end = start + 1; end < request->width && is_set(row, end) == is_set(row, start); end++)
			;
		status = graphics->blt(graphics, &pixel, EFI_BLT_VIDEO_FILL, 0, 0, request->x + start * scale,
				       request->y + number * scale, (end - start) * scale, scale, 0);
		if (EFI_ERROR(status))
			return status;
	}
	return EFI_SUCCESS;
}

efi_status_t pk_console_draw(struct pk_call *call)
{
	const struct pk_bitmap_request *request = call->body;
	const u8 *rows = (const u8 *)(request + 1);
	struct efi_graphics_output *graphics = screen();
	efi_status_t status = EFI_SUCCESS;

	if (!graphics)
		return EFI_UNSUPPORTED;
	if (!is_bitmap(request, call->size - sizeof(*request), graphics->mode->info->horizontal_resolution,
		       graphics->mode->info->vertical_resolution))
		return EFI_INVALID_PARAMETER;
	for (u32 y = 0; y < request->height && !EFI_ERROR(status); y++)
		status = draw_row(graphics, request, rows + (u64)y * ((request->width + 7) / 8), y);
	return status;
}
