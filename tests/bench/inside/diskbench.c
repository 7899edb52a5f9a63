// SPDX-License-Identifier: Apache-2.0
/*
 * The requests of csrc/payload/blockbench.c, from Linux: O_DIRECT, by Linux AIO.
 * Without arguments all works on all scratch disks; "write size depth requests disk" is one, on the one that
 * has this digit.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/aio_abi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <payload/bench.h>

static u8 *buffers[BENCH_DEPTH_MAX];
static struct iocb requests[BENCH_DEPTH_MAX];

static int submit(aio_context_t context, int fd, const struct bench_work *work, u32 slot, u32 i)
{
	struct iocb *request = &requests[slot];

	*request = (struct iocb){
		.aio_data = slot,
		.aio_lio_opcode = work->write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
		.aio_fildes = (u32)fd,
		.aio_buf = (u64)buffers[slot],
		.aio_nbytes = work->size,
		.aio_offset = (int64_t)bench_place(work->size, i),
	};
	return syscall(SYS_io_submit, context, 1, &request) == 1 ? 0 : -errno;
}

static int run(aio_context_t context, int fd, const struct bench_work *work)
{
	u32 nr_sent = 0, nr_done = 0;
	int result = 0;

	while (nr_sent < work->depth && nr_sent < work->nr && !result) {
		result = submit(context, fd, work, nr_sent, nr_sent);
		nr_sent++;
	}
	while (nr_done < work->nr && !result) {
		struct io_event events[BENCH_DEPTH_MAX];
		long nr = syscall(SYS_io_getevents, context, 1L, (long)BENCH_DEPTH_MAX, events, NULL);

		if (nr < 0)
			return -errno;
		for (long i = 0; i < nr && !result; i++) {
			nr_done++;
			if (events[i].res != (int64_t)work->size)
				result = events[i].res < 0 ? (int)events[i].res : -EIO;
			else if (nr_sent < work->nr)
				result = submit(context, fd, work, (u32)events[i].data, nr_sent++);
		}
	}
	return result;
}

static int measure(int fd, u8 disk, const struct bench_work *work)
{
	aio_context_t context = 0;
	int result = 0;

	if (syscall(SYS_io_setup, (long)work->depth, &context))
		return -errno;
	for (u32 round = 0; round < BENCH_ROUNDS && !result; round++) {
		u64 start = bench_tsc();

		result = run(context, fd, work);
		if (!result)
			printf("BENCH:block:%x:%x:%x:%x:%x:%" PRIx64 "\n", disk, work->write, work->size,
			       work->depth, work->nr, bench_tsc() - start);
	}
	syscall(SYS_io_destroy, context);
	return result;
}

/* Do works on the disk, if it is a scratch disk, and the wanted one unless any is (-1). */
static int measure_disk(const char *name, const struct bench_work *works, u32 nr_works, int wanted)
{
	char path[sizeof("/dev/") + NAME_MAX];
	int result = 0;
	int fd;

	snprintf(path, sizeof(path), "/dev/%s", name);
	fd = open(path, O_RDWR | O_DIRECT);
	if (fd < 0)
		return 0;
	if (pread(fd, buffers[0], BENCH_SMALL, 0) == BENCH_SMALL && bench_is_scratch(buffers[0])) {
		u8 disk = bench_disk_number(buffers[0]);

		if (wanted >= 0 && wanted != disk)
			nr_works = 0;
		for (u32 i = 0; i < nr_works && !result; i++)
			result = measure(fd, disk, &works[i]);
		if (result)
			fprintf(stderr, "%s: %s\n", path, strerror(-result));
	}
	close(fd);
	return result;
}

int main(int argc, char **argv)
{
	const struct bench_work *works = bench_works;
	u32 nr_works = sizeof(bench_works) / sizeof(bench_works[0]);
	struct bench_work given;
	struct dirent *entry;
	int wanted = -1;
	int result = 0;
	DIR *disks;

	if (argc == 6) {
		given = (struct bench_work){ atoi(argv[1]), (u32)atol(argv[2]), (u32)atol(argv[3]),
					     (u32)atol(argv[4]) };
		wanted = atoi(argv[5]);
		if (!given.size || given.size > BENCH_LARGE || !given.depth || given.depth > BENCH_DEPTH_MAX)
			return 2;
		works = &given;
		nr_works = 1;
	}
	for (u32 i = 0; i < BENCH_DEPTH_MAX; i++) {
		if (posix_memalign((void **)&buffers[i], BENCH_SMALL, BENCH_LARGE))
			return 1;
		/* Not a page fault in the middle of it. */
		memset(buffers[i], 0x5a, BENCH_LARGE);
	}
	disks = opendir("/sys/block");
	while (disks && !result && (entry = readdir(disks)))
		if (entry->d_name[0] != '.')
			result = measure_disk(entry->d_name, works, nr_works, wanted);
	printf("BENCH:end:%x\n", (u32)-result);
	return result ? 1 : 0;
}
