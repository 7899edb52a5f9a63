// SPDX-License-Identifier: Apache-2.0
/*
 * How fast an EFI application reads the volume that it came from: for each size
 * of a read, "PK:blockread:<size>:<reads>:<TSC ticks>", all in hexadecimal. The
 * benchmark reads the same blocks from Linux through the mailbox.
 */
#include <efi/guids.h>
#include <efi/protocols.h>
#include <payload/bench.h>
#include <payload/console.h>

enum {
	SMALL_SIZE	= 4096,
	SMALL_READS	= 512,
	LARGE_SIZE	= 1024 * 1024,
	LARGE_READS	= 32,
};

static struct efi_system_table *st;
static u8 buffer[LARGE_SIZE] __attribute__((aligned(4096)));

static efi_status_t read(struct efi_block_io *io, u64 size, u64 nr_reads)
{
	u64 blocks = size / io->media->block_size;
	efi_status_t status;

	for (u64 i = 0; i < nr_reads; i++) {
		status = io->read_blocks(io, io->media->media_id, i * blocks, size, buffer);
		if (EFI_ERROR(status))
			return status;
	}
	return EFI_SUCCESS;
}

static efi_status_t measure(struct efi_block_io *io, u64 size, u64 nr_reads)
{
	efi_status_t status;
	u64 start, ticks;

	/* Once to fill the caches of the machine below. */
	status = read(io, size, nr_reads);
	if (EFI_ERROR(status))
		return status;
	start = bench_tsc();
	status = read(io, size, nr_reads);
	ticks = bench_tsc() - start;
	if (EFI_ERROR(status))
		return status;
	pk_put_line(u"PK:blockread:", size, nr_reads, ticks);
	return EFI_SUCCESS;
}

EFIAPI efi_status_t efi_main(efi_handle_t image_handle, struct efi_system_table *system_table)
{
	struct efi_loaded_image *image;
	struct efi_block_io *io;
	efi_status_t status;

	st = system_table;
	pk_console_init(st);
	status = st->boot->handle_protocol(image_handle, &efi_guid_loaded_image, (void **)&image);
	if (!EFI_ERROR(status))
		status = st->boot->handle_protocol(image->device_handle, &efi_guid_block_io, (void **)&io);
	if (!EFI_ERROR(status))
		status = measure(io, SMALL_SIZE, SMALL_READS);
	if (!EFI_ERROR(status))
		status = measure(io, LARGE_SIZE, LARGE_READS);
	return status;
}
