// SPDX-License-Identifier: Apache-2.0
/*
 * The test application: tells what a payload finds (options, volume, timers, memory),
 * then does what its options ask for: "return=<hex status>" or "exit=<hex status>".
 */
#include <efi/guids.h>
#include <efi/protocols.h>
#include <payload/console.h>

static struct efi_system_table *st;

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
	pk_put_line(u"PK:payload:ticks:0x", nr_ticks);
}

/* Whole MiB that nobody has. */
static void check_memory(void)
{
	static u8 map[128 * 1024] __attribute__((aligned(8)));
	u64 size = sizeof(map), key, step, nr_free = 0;
	u32 version;

	if (st->boot->get_memory_map(&size, map, &key, &step, &version))
		return;
	for (u64 at = 0; at + step <= size; at += step) {
		const struct efi_memory_descriptor *descriptor = (const void *)(map + at);

		if (descriptor->type == EFI_CONVENTIONAL_MEMORY)
			nr_free += descriptor->number_of_pages;
	}
	pk_put_line(u"PK:payload:free_mib:0x", nr_free >> 8);
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
	pk_put_line(u"PK:payload:volume:0x", status);
	pk_put_line(u"PK:payload:boot_signature:0x", (u64)block[510] << 8 | block[511]);
}

EFIAPI efi_status_t efi_main(efi_handle_t image_handle, struct efi_system_table *system_table)
{
	struct efi_loaded_image *image;
	efi_status_t status;
	const u16 *options;
	u64 value;

	st = system_table;
	pk_console_init(st);
	pk_put(u"PK:payload:started:0\r\n");
	status = st->boot->handle_protocol(image_handle, &efi_guid_loaded_image, (void **)&image);
	if (EFI_ERROR(status))
		return status;
	options = pk_options_of(image_handle);
	pk_put(u"PK:payload:options:");
	pk_put(options);
	pk_put(u"\r\n");
	check_volume(image);
	check_timer();
	check_memory();
	if (pk_option(options, "exit=", &value))
		st->boot->exit(image_handle, value, 0, NULL);
	if (pk_option(options, "return=", &value))
		return value;
	return EFI_SUCCESS;
}
