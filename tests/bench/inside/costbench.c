// SPDX-License-Identifier: Apache-2.0
/*
 * What every bridge is made of: "BENCH:cost:<kind>:<bytes or times>:<TSC ticks>" for
 * copies between kernel and user, copies in user space, system calls, process changes.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <payload/bench.h>

enum { CHUNK = 1 << 20, NR_COPIES = 32, NR_CALLS = 20000, NR_CHANGES = 2000 };

enum kind { TO_USER, FROM_USER, MEMCPY, MOVSB, MOVSQ, SYSTEM_CALL, PROCESS_CHANGE, NR_KINDS };

static u8 *here, *there;
static int file;

static void move_bytes(void *to, const void *from, u64 nr)
{
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(nr) : : "memory");
}

static void move_words(void *to, const void *from, u64 nr)
{
	__asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(nr) : : "memory");
}

static bool copy(enum kind kind)
{
	switch (kind) {
	case TO_USER: return pread(file, here, CHUNK, 0) == CHUNK;
	case FROM_USER: return pwrite(file, here, CHUNK, 0) == CHUNK;
	case MEMCPY: memcpy(there, here, CHUNK); break;
	case MOVSB: move_bytes(there, here, CHUNK); break;
	default: move_words(there, here, CHUNK / 8); break;
	}
	/* Nobody reads it, which the compiler must not know. */
	__asm__ volatile("" : : "r"(there) : "memory");
	return true;
}

/* A byte goes to another process and back. */
static bool change_processes(void)
{
	int to[2], back[2];
	u8 byte = 0;
	pid_t pid;

	if (pipe(to) || pipe(back))
		return false;
	pid = fork();
	if (!pid) {
		close(to[1]);
		while (read(to[0], &byte, 1) == 1 && write(back[1], &byte, 1) == 1)
			;
		_exit(0);
	}
	for (u32 i = 0; i < NR_CHANGES; i++)
		if (write(to[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
			return false;
	close(to[1]);
	close(to[0]);
	close(back[0]);
	close(back[1]);
	return waitpid(pid, NULL, 0) == pid;
}

static bool measure(enum kind kind, u64 *ret_amount)
{
	switch (kind) {
	case SYSTEM_CALL:
		*ret_amount = NR_CALLS;
		for (u32 i = 0; i < NR_CALLS; i++)
			syscall(SYS_getppid);
		return true;
	case PROCESS_CHANGE:
		*ret_amount = 2 * NR_CHANGES;
		return change_processes();
	default:
		*ret_amount = NR_COPIES * CHUNK;
		for (u32 i = 0; i < NR_COPIES; i++)
			if (!copy(kind))
				return false;
		return true;
	}
}

int main(void)
{
	here = aligned_alloc(BENCH_SMALL, CHUNK);
	there = aligned_alloc(BENCH_SMALL, CHUNK);
	file = memfd_create("bench", 0);
	if (!here || !there || file < 0)
		return 1;
	memset(here, 1, CHUNK);
	memset(there, 2, CHUNK);
	if (pwrite(file, here, CHUNK, 0) != CHUNK)
		return 1;
	for (u32 round = 0; round < BENCH_ROUNDS; round++) {
		for (u32 kind = 0; kind < NR_KINDS; kind++) {
			u64 start = bench_tsc();
			u64 amount;

			if (!measure(kind, &amount))
				return 1;
			printf("BENCH:cost:%x:%" PRIx64 ":%" PRIx64 "\n", kind, amount, bench_tsc() - start);
		}
	}
	printf("BENCH:end:0\n");
	return 0;
}
