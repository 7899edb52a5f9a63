// SPDX-License-Identifier: Apache-2.0
/*
 * The stub's console operations on a firmware that is simulated here. Arguments: which ConIn there
 * is (extended, plain, none), what is typed on it (scan:character:shift:polls, so many polls after
 * the one before), and "text", "screen" for what else there is: 80 x 25 characters, 64 x 48 pixels,
 * whose memory ends there. Lines of input are requests, "operation body" in hexadecimal. Prints what
 * the firmware was called for, then status and answer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stub/lib/call.h>
#include <stub/lib/stub.h>
#include <stub/services/console.h>

enum { COLUMNS = 80, ROWS = 25, WIDTH = 64, HEIGHT = 48, NR_KEYS = 200, BODY_MAX = 65536 };

struct typed {
	struct efi_key_data data;
	u32 polls;
};

static struct efi_boot_services boot;
static struct efi_system_table table;
struct efi_system_table *pk_st = &table;
struct efi_boot_services *pk_bs = &boot;

static struct typed typed[NR_KEYS];
static u32 nr_typed, nr_read, nr_stalls;
static bool has_extended;
static int in_handle, out_handle;
static u32 *pixels;

static efi_status_t take_key(struct efi_key_data *ret)
{
	if (nr_read == nr_typed)
		return EFI_NOT_READY;
	if (typed[nr_read].polls) {
		typed[nr_read].polls--;
		return EFI_NOT_READY;
	}
	*ret = typed[nr_read++].data;
	return ret->key.scan_code == 0xffff ? EFI_ERROR_BIT | 7 : EFI_SUCCESS;
}

static efi_status_t EFIAPI read_extended(struct efi_simple_text_input_ex *this, struct efi_key_data *ret)
{
	(void)this;
	return take_key(ret);
}

static efi_status_t EFIAPI read_plain(struct efi_simple_text_input *this, struct efi_input_key *ret)
{
	struct efi_key_data data = { 0 };
	efi_status_t status = take_key(&data);

	(void)this;
	if (!EFI_ERROR(status))
		*ret = data.key;
	return status;
}

static efi_status_t EFIAPI output(struct efi_simple_text_output *this, efi_char16_t *text)
{
	(void)this;
	printf("output");
	for (; *text; text++)
		printf(" %x", *text);
	printf("\n");
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI query_mode(struct efi_simple_text_output *this, u64 mode, u64 *columns, u64 *rows)
{
	(void)this;
	*columns = COLUMNS;
	*rows = ROWS;
	return mode ? EFI_UNSUPPORTED : EFI_SUCCESS;
}

static efi_status_t EFIAPI set_attribute(struct efi_simple_text_output *this, u64 attribute)
{
	(void)this;
	printf("attribute %llx\n", (unsigned long long)attribute);
	return EFI_UNSUPPORTED;
}

static efi_status_t EFIAPI clear_screen(struct efi_simple_text_output *this)
{
	(void)this;
	printf("clear\n");
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI set_position(struct efi_simple_text_output *this, u64 column, u64 row)
{
	(void)this;
	printf("place %llu %llu\n", (unsigned long long)column, (unsigned long long)row);
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI enable_cursor(struct efi_simple_text_output *this, u8 visible)
{
	(void)this;
	printf("cursor %d\n", visible);
	return EFI_SUCCESS;
}

/* As sloppy as firmware may be: whoever called has seen to the edges. */
static efi_status_t EFIAPI blt(struct efi_graphics_output *this, void *buffer, u32 operation, u64 source_x,
			       u64 source_y, u64 x, u64 y, u64 width, u64 height, u64 delta)
{
	(void)this;
	(void)source_x;
	(void)source_y;
	(void)delta;
	if (operation != EFI_BLT_VIDEO_FILL)
		return EFI_UNSUPPORTED;
	for (u64 row = y; row < y + height; row++)
		for (u64 column = x; column < x + width; column++)
			pixels[row * WIDTH + column] = *(u32 *)buffer;
	return EFI_SUCCESS;
}

static struct efi_simple_text_input plain = { .read_key_stroke = read_plain };
static struct efi_simple_text_input_ex extended = { .read_key_stroke_ex = read_extended };
static struct efi_simple_text_output_mode text_mode = { .cursor_column = 3, .cursor_row = 2 };
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

static efi_status_t EFIAPI handle_protocol(efi_handle_t handle, const efi_guid_t *protocol, void **ret)
{
	if (handle != &in_handle || !has_extended ||
	    memcmp(protocol, &efi_guid_simple_text_input_ex, sizeof(*protocol)))
		return EFI_UNSUPPORTED;
	*ret = &extended;
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI locate_protocol(const efi_guid_t *protocol, void *registration, void **ret)
{
	(void)registration;
	if (!pixels || memcmp(protocol, &efi_guid_graphics_output, sizeof(*protocol)))
		return EFI_NOT_FOUND;
	*ret = &graphics;
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI stall(u64 us)
{
	nr_stalls += us == 1000;
	return EFI_SUCCESS;
}

static u64 parse_hex(const char *text, u8 *ret)
{
	u64 size = 0;
	unsigned int byte;

	for (; sscanf(text, "%2x", &byte) == 1; text += 2)
		ret[size++] = (u8)byte;
	return size;
}

static efi_status_t serve(const char *operation, struct pk_call *call)
{
	if (!strcmp(operation, "info"))
		return pk_console_info(call);
	if (!strcmp(operation, "keys"))
		return pk_console_keys(call);
	if (!strcmp(operation, "write"))
		return pk_console_write(call);
	if (!strcmp(operation, "text"))
		return pk_console_text(call);
	return pk_console_draw(call);
}

static void ask(char *line)
{
	static u8 bytes[BODY_MAX];
	char *operation = strtok(line, " \n"), *hex = strtok(NULL, " \n");
	u64 size = hex ? parse_hex(hex, bytes) : 0, answer[128];
	/* Of its very size: what lies behind is nobody's. */
	void *body = memcpy(malloc(size + !size), bytes, size);
	struct pk_call call = { .body = body, .size = size, .answer = answer, .capacity = sizeof(answer) };
	efi_status_t status = serve(operation, &call);

	printf("= %llx ", (unsigned long long)(status & ~EFI_ERROR_BIT));
	for (u64 i = 0; !EFI_ERROR(status) && i < call.answered; i++)
		printf("%02x", ((u8 *)answer)[i]);
	printf("\n");
	free(body);
}

int main(int argc, char **argv)
{
	static char line[2 * BODY_MAX];

	boot.handle_protocol = handle_protocol;
	boot.locate_protocol = locate_protocol;
	boot.stall = stall;
	table.con_in_handle = &in_handle;
	table.con_out_handle = &out_handle;
	has_extended = !strcmp(argv[1], "extended");
	if (strcmp(argv[1], "none"))
		table.con_in = &plain;
	for (int i = 2; i < argc; i++) {
		unsigned int scan, character, shift, polls;

		if (!strcmp(argv[i], "text")) {
			table.con_out = &text_output;
		} else if (!strcmp(argv[i], "screen")) {
			pixels = calloc(WIDTH * HEIGHT, sizeof(*pixels));
		} else if (sscanf(argv[i], "%x:%x:%x:%u", &scan, &character, &shift, &polls) == 4) {
			typed[nr_typed++] = (struct typed){
				{ { (u16)scan, (u16)character }, shift, 0 },
				polls,
			};
		}
	}
	while (fgets(line, sizeof(line), stdin))
		ask(line);
	printf("stalls %u\n", nr_stalls);
	for (u32 y = 0; pixels && y < HEIGHT; y++) {
		printf("row");
		for (u32 x = 0; x < WIDTH; x++)
			printf(" %x", pixels[y * WIDTH + x]);
		printf("\n");
	}
	free(pixels);
	return 0;
}
