// SPDX-License-Identifier: Apache-2.0
/* Printing and options of the test applications. */
#include <efi/guids.h>
#include <efi/protocols.h>
#include <payload/console.h>

static struct efi_system_table *st;

void pk_console_init(struct efi_system_table *system_table)
{
	st = system_table;
}

void pk_put(const u16 *text)
{
	st->con_out->output_string(st->con_out, (u16 *)text);
}

static void put_hex(u64 value)
{
	u16 text[17];
	u32 n = 16;

	text[16] = 0;
	do {
		text[--n] = (u16)"0123456789abcdef"[value % 16];
		value /= 16;
	} while (value);
	pk_put(text + n);
}

void pk_put_values(const u16 *label, const u64 *values, u32 nr_values)
{
	pk_put(label);
	for (u32 i = 0; i < nr_values; i++) {
		if (i)
			pk_put(u":");
		put_hex(values[i]);
	}
	pk_put(u"\r\n");
}

bool pk_option(const u16 *options, const char *name, u64 *ret)
{
	u64 value = 0;

	for (; *options; options++) {
		u32 n = 0;

		while (name[n] && options[n] == (u8)name[n])
			n++;
		if (name[n])
			continue;
		for (options += n; *options; options++) {
			u16 c = *options;

			if (c >= '0' && c <= '9')
				value = value << 4 | (u64)(c - '0');
			else if (c >= 'a' && c <= 'f')
				value = value << 4 | (u64)(c - 'a' + 10);
			else
				break;
		}
		*ret = value;
		return true;
	}
	return false;
}

const u16 *pk_options_of(efi_handle_t image_handle)
{
	struct efi_loaded_image *image;

	if (EFI_ERROR(st->boot->handle_protocol(image_handle, &efi_guid_loaded_image, (void **)&image)) ||
	    !image->load_options_size)
		return u"";
	return image->load_options;
}
