/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the benchmarks' EFI applications and Linux tools do alike: the same requests
 * to the same disk, NIC and TPM, timed by the same clock (the TSC), told in lines of
 * one form: "BENCH:<what>:<hexadecimal numbers>".
 */
#ifndef PK_PAYLOAD_BENCH_H
#define PK_PAYLOAD_BENCH_H

#include <pykexec/types.h>

/* ---- disks: the scratch disks begin with this, then a digit that names them ---- */

#define BENCH_DISK_MAGIC "pykexec scratch disk "

enum bench_disk {
	BENCH_AREA_START	= 1 << 20,
	BENCH_AREA_SIZE		= 128 << 20,
	BENCH_SMALL		= 4096,
	BENCH_LARGE		= 1 << 20,
	BENCH_DEPTH_MAX		= 32,
	BENCH_ROUNDS		= 5,	/* a busy host takes time away: the best one counts */
};

struct bench_work {
	bool write;
	u32 size;	/* BENCH_SMALL ones are at random places, others one after the other */
	u32 depth;	/* requests at once; an EFI application has one */
	u32 nr;
};

static const struct bench_work bench_works[] = {
	{ false, BENCH_LARGE, 1, 32 },
	{ false, BENCH_LARGE, 4, 32 },
	{ true, BENCH_LARGE, 1, 32 },
	{ true, BENCH_LARGE, 4, 32 },
	{ false, BENCH_SMALL, 1, 500 },
	{ false, BENCH_SMALL, 32, 1000 },
	{ true, BENCH_SMALL, 1, 500 },
	{ true, BENCH_SMALL, 32, 1000 },
};

static inline bool bench_is_scratch(const u8 *first_block)
{
	const char *magic = BENCH_DISK_MAGIC;

	while (*magic && *first_block == (u8)*magic)
		magic++, first_block++;
	return !*magic;
}

/* The digit that names the disk. */
static inline u8 bench_disk_number(const u8 *first_block)
{
	return first_block[sizeof(BENCH_DISK_MAGIC) - 1] - '0';
}

/* Byte offset of request i. */
static inline u64 bench_place(u32 size, u32 i)
{
	u64 slots = BENCH_AREA_SIZE / size;
	u64 slot = i;

	if (size == BENCH_SMALL) {
		/* The finalizer of splitmix64: every request has its own place, the same in every run. */
		slot = (slot + 1) * 0x9e3779b97f4a7c15;
		slot = (slot ^ slot >> 30) * 0xbf58476d1ce4e5b9;
		slot = (slot ^ slot >> 27) * 0x94d049bb133111eb;
		slot ^= slot >> 31;
	}
	return BENCH_AREA_START + slot % slots * size;
}

/* ---- network: the host is at 10.0.2.2, the guest at 10.0.2.15; UDP and TCP on one port ---- */

enum bench_net {
	BENCH_HOST		= 0x0a000202,
	BENCH_GUEST		= 0x0a00020f,
	BENCH_UDP_SIZE		= 1472,		/* makes full frames */
	BENCH_UDP_FRAMES	= 20000,	/* each way, at most ... */
	BENCH_UDP_MS		= 1000,		/* ... and for so long */
	BENCH_UDP_WANT		= 32,		/* asked for at once, twice that are on their way */
	BENCH_QUIET_MS		= 200,		/* nothing for so long: lost */
	BENCH_TCP_MS		= 2000,
	BENCH_PINGS		= 100,
	BENCH_PING_SIZE		= 56,
	BENCH_PING_BUSY_US	= 10000,	/* between an answer and the next question */
	BENCH_PING_IDLE_US	= 200000,
	BENCH_PING_LOST_MS	= 1000,
};

enum bench_datagram_op {
	BENCH_START	= 1,	/* forget what came; answered */
	BENCH_DATA	= 2,	/* to be counted */
	BENCH_COUNT	= 3,	/* answered with how many came since START */
	BENCH_WANT	= 4,	/* answered with so many DATA */
};

/* Leads every datagram, little endian. */
struct bench_datagram {
	u32 op;
	u32 sequence;	/* repeated in answers */
	u32 count;
};

/* ---- TPM ---- */

enum { BENCH_TPM_COMMANDS = 50, BENCH_TPM_ANSWER_MAX = 4096 };

/* TPM2_GetRandom of 16 bytes; TPM2_PCR_Read of SHA-256 PCR 0. */
static const u8 bench_tpm_random[] = { 0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 16 };
static const u8 bench_tpm_pcr_read[] = {
	0x80, 1, 0, 0, 0, 20, 0, 0, 1, 0x7e, 0, 0, 0, 1, 0, 11, 3, 1, 0, 0,
};

static inline bool bench_tpm_succeeded(const u8 *answer)
{
	return !(answer[6] | answer[7] | answer[8] | answer[9]);
}

static inline u64 bench_tsc(void)
{
	u32 low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return low | (u64)high << 32;
}

#endif
