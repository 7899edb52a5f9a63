// SPDX-License-Identifier: Apache-2.0
/*
 * The test application: tells what a payload finds (options, volume, timers),
 * then does what its options ask for: "return=<hex status>" or "exit=<hex status>".
 */
#include <efi/guids.h>
#include <efi/protocols.h>

static struct efi_system_table *st;

static void put(u16 *text)
{
	st->con_out->output_string(st->con_out, text);
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
	put(u"0x");
	put(text + n);
}

static volatile u64 nr_ticks;

static void EFIAPI tick(efi_event_t event, void *context)
{
	(void)event;
	(void)context;
	nr_ticks++;
}

/* Ten ticks of 50 ms fit in half a second. */
static void check_timer(void)
{
	struct efi_boot_services *bs = st->boot;
	efi_event_t event;

	if (bs->create_event((u32)EFI_EVT_TIMER | EFI_EVT_NOTIFY_SIGNAL, EFI_TPL_CALLBACK, tick, NULL, &event))
		return;
	bs->set_timer(event, EFI_TIMER_PERIODIC, 500000);
	bs->stall(500000);
	bs->close_event(event);
	put(u"PK:payload:ticks:");
	put_hex(nr_ticks);
	put(u"\r\n");
}

/* Read the first block of the volume that we came from, if any. */
static void check_volume(const struct efi_loaded_image *image)
{
	static u8 block[4096] __attribute__((aligned(4096)));
	struct efi_block_io *io;
	efi_status_t status;

	status = st->boot->handle_protocol(image->device_handle, &efi_guid_block_io, (void **)&io);
	if (!EFI_ERROR(status) && io->media->block_size <= sizeof(block))
		status = io->read_blocks(io, io->media->media_id, 0, io->media->block_size, block);
	put(u"PK:payload:volume:");
	put_hex(status);
	put(u"\r\nPK:payload:boot_signature:");
	put_hex((u64)block[510] << 8 | block[511]);
	put(u"\r\n");
}

static bool parse(const u16 *options, const char *name, u64 *ret)
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

EFIAPI efi_status_t efi_main(efi_handle_t image_handle, struct efi_system_table *system_table)
{
	struct efi_loaded_image *image;
	efi_status_t status;
	u16 *options = u"";
	u64 value;

	st = system_table;
	put(u"PK:payload:started:0\r\n");
	status = st->boot->handle_protocol(image_handle, &efi_guid_loaded_image, (void **)&image);
	if (EFI_ERROR(status))
		return status;
	if (image->load_options_size)
		options = image->load_options;
	put(u"PK:payload:options:");
	put(options);
	put(u"\r\n");
	check_volume(image);
	check_timer();
	if (parse(options, "exit=", &value))
		st->boot->exit(image_handle, value, 0, NULL);
	if (parse(options, "return=", &value))
		return value;
	return EFI_SUCCESS;
}
