// SPDX-License-Identifier: Apache-2.0
/*
 * How fast an EFI application reads and writes the scratch disks by Block I/O:
 * "BENCH:block:<disk>:<write>:<size>:<depth>:<requests>:<TSC ticks>" for each round.
 */
#include <efi/guids.h>
#include <efi/protocols.h>
#include <payload/bench.h>
#include <payload/console.h>

static struct efi_boot_services *bs;
static u8 buffer[BENCH_LARGE] __attribute__((aligned(4096)));

static efi_status_t run(struct efi_block_io *io, const struct bench_work *work)
{
	u32 media_id = io->media->media_id;
	efi_status_t status = EFI_SUCCESS;

	for (u32 i = 0; i < work->nr && !EFI_ERROR(status); i++) {
		u64 lba = bench_place(work->size, i) / io->media->block_size;

		if (work->write)
			status = io->write_blocks(io, media_id, lba, work->size, buffer);
		else
			status = io->read_blocks(io, media_id, lba, work->size, buffer);
	}
	return status;
}

static efi_status_t measure(struct efi_block_io *io, u8 disk, const struct bench_work *work)
{
	efi_status_t status;
	u64 start, ticks;

	for (u32 round = 0; round < BENCH_ROUNDS; round++) {
		start = bench_tsc();
		status = run(io, work);
		ticks = bench_tsc() - start;
		if (EFI_ERROR(status))
			return status;
		pk_put_line(u"BENCH:block:", disk, work->write, work->size, work->depth, work->nr, ticks);
	}
	return EFI_SUCCESS;
}

/* Everything at depth 1, if this is a scratch disk. */
static efi_status_t measure_disk(efi_handle_t handle)
{
	struct efi_block_io *io;
	efi_status_t status;
	u8 disk;

	status = bs->handle_protocol(handle, &efi_guid_block_io, (void **)&io);
	if (EFI_ERROR(status))
		return status;
	if (io->media->logical_partition || !io->media->media_present || io->media->block_size > BENCH_SMALL)
		return EFI_SUCCESS;
	status = io->read_blocks(io, io->media->media_id, 0, io->media->block_size, buffer);
	if (EFI_ERROR(status) || !bench_is_scratch(buffer))
		return status;
	disk = bench_disk_number(buffer);
	for (u32 i = 0; i < sizeof(bench_works) / sizeof(bench_works[0]) && !EFI_ERROR(status); i++)
		if (bench_works[i].depth == 1)
			status = measure(io, disk, &bench_works[i]);
	return status;
}

EFIAPI efi_status_t efi_main(efi_handle_t image_handle, struct efi_system_table *system_table)
{
	efi_handle_t *handles;
	efi_status_t status;
	u64 nr_handles;

	(void)image_handle;
	bs = system_table->boot;
	pk_console_init(system_table);
	status = bs->locate_handle_buffer(EFI_BY_PROTOCOL, &efi_guid_block_io, NULL, &nr_handles, &handles);
	for (u64 i = 0; !EFI_ERROR(status) && i < nr_handles; i++)
		status = measure_disk(handles[i]);
	pk_put_line(u"BENCH:end:", status);
	return status;
}
