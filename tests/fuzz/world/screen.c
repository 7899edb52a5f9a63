// SPDX-License-Identifier: Apache-2.0
/* The world's console, as sloppy as firmware may be: what reaches it must be right. */
#include <efi/guids.h>

#include "../fuzz.h"
#include "devices.h"

enum { COLUMNS = 80, ROWS = 25, WIDTH = 64, HEIGHT = 48, TEXT_MAX = 512, KEY_EVERY = 3 };

static u32 pixels[WIDTH * HEIGHT];
static u32 nr_polls;

static efi_status_t EFIAPI read_key(struct efi_simple_text_input_ex *this, struct efi_key_data *ret)
{
	(void)this;
	world_returns();
	if (++nr_polls % KEY_EVERY)
		return EFI_NOT_READY;
	*ret = (struct efi_key_data){ .key.unicode_char = 'k', .shift_state = 0x80000001 };
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI output(struct efi_simple_text_output *this, efi_char16_t *text)
{
	u32 size = 0;

	(void)this;
	while (text[size])
		FUZZ_CHECK(++size < TEXT_MAX);
	world_returns();
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI query_mode(struct efi_simple_text_output *this, u64 mode, u64 *columns, u64 *rows)
{
	(void)this;
	(void)mode;
	*columns = COLUMNS;
	*rows = ROWS;
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI set_attribute(struct efi_simple_text_output *this, u64 attribute)
{
	(void)this;
	FUZZ_CHECK(attribute <= 0x7f);
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI clear_screen(struct efi_simple_text_output *this)
{
	(void)this;
	world_returns();
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI set_position(struct efi_simple_text_output *this, u64 column, u64 row)
{
	(void)this;
	FUZZ_CHECK(column < COLUMNS && row < ROWS);
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI enable_cursor(struct efi_simple_text_output *this, u8 visible)
{
	(void)this;
	FUZZ_CHECK(visible <= 1);
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI blt(struct efi_graphics_output *this, void *buffer, u32 operation, u64 source_x,
			       u64 source_y, u64 x, u64 y, u64 width, u64 height, u64 delta)
{
	(void)this;
	(void)source_x;
	(void)source_y;
	(void)delta;
	FUZZ_CHECK(operation == EFI_BLT_VIDEO_FILL);
	FUZZ_CHECK(width && height && x + width <= WIDTH && y + height <= HEIGHT);
	for (u64 row = y; row < y + height; row++)
		for (u64 column = x; column < x + width; column++)
			pixels[row * WIDTH + column] = *(u32 *)buffer;
	return EFI_SUCCESS;
}

static struct efi_simple_text_input_ex input = { .read_key_stroke_ex = read_key };
static struct efi_simple_text_output_mode text_mode;
static struct efi_simple_text_output text_output = {
	.output_string = output,
	.query_mode = query_mode,
	.set_attribute = set_attribute,
	.clear_screen = clear_screen,
	.set_cursor_position = set_position,
	.enable_cursor = enable_cursor,
	.mode = &text_mode,
};
static struct efi_graphics_output_information information = {
	.horizontal_resolution = WIDTH,
	.vertical_resolution = HEIGHT,
};
static struct efi_graphics_output_mode graphics_mode = { .info = &information };
static struct efi_graphics_output graphics = { .blt = blt, .mode = &graphics_mode };

void *console_interface(const void *handle, const efi_guid_t *protocol)
{
	if (handle == &input && !memcmp(protocol, &efi_guid_simple_text_input_ex, sizeof(*protocol)))
		return &input;
	if (handle == &text_output && !memcmp(protocol, &efi_guid_graphics_output, sizeof(*protocol)))
		return &graphics;
	return NULL;
}

void console_fill(struct efi_system_table *table)
{
	nr_polls = 0;
	/* A handle of its own each, which lists do not show. */
	table->con_in_handle = &input;
	table->con_out_handle = &text_output;
	table->con_out = &text_output;
}
