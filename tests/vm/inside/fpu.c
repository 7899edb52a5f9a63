// SPDX-License-Identifier: Apache-2.0
/*
 * Holds values in all vector and x87 registers, and unusual control words, over
 * world switches: every one must be there afterwards. Arguments: mailbox, file
 * with attributes and message, number of calls. Exit status 0, or what was lost.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NR_VECTORS = 16, VECTOR_SIZE = 32, ROUND_UP_X87 = 0x0b7f, ROUND_UP_SSE = 0x5f80 };

struct registers {
	uint8_t vectors[NR_VECTORS][VECTOR_SIZE];
	double pi;
	uint32_t mxcsr;
	uint16_t fcw;
};

#define EACH(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define LOAD(n) "vmovdqu " #n "*32(%[in]), %%ymm" #n "\n\t"
#define STORE(n) "vmovdqu %%ymm" #n ", " #n "*32(%[out])\n\t"
#define NAME(n) "ymm" #n,

static long write_holding(int fd, const void *data, long size, const struct registers *in, struct registers *out)
{
	long result = SYS_write;
	const uint32_t default_mxcsr = 0x1f80;
	const uint16_t default_fcw = 0x037f;

	__asm__ volatile(
		EACH(LOAD)
		"fldcw %[fcw]\n\tldmxcsr %[mxcsr]\n\tfldl %[pi]\n\t"
		"syscall\n\t"
		"fstpl %[out_pi]\n\tstmxcsr %[out_mxcsr]\n\tfnstcw %[out_fcw]\n\t"
		EACH(STORE)
		"fldcw %[old_fcw]\n\tldmxcsr %[old_mxcsr]\n\tvzeroupper\n\t"
		: "+a"(result), [out_pi] "=m"(out->pi), [out_mxcsr] "=m"(out->mxcsr), [out_fcw] "=m"(out->fcw)
		: "D"((long)fd), "S"(data), "d"(size), [in] "r"(in->vectors), [out] "r"(out->vectors),
		  [fcw] "m"(in->fcw), [mxcsr] "m"(in->mxcsr), [pi] "m"(in->pi), [old_fcw] "m"(default_fcw),
		  [old_mxcsr] "m"(default_mxcsr)
		: "rcx", "r11", "memory", EACH(NAME) "st");
	return result;
}

int main(int argc, char **argv)
{
	static uint8_t message[4096];
	struct registers in, out;
	int fd = open(argv[1], O_RDWR), file = open(argv[2], O_RDONLY);
	long size = read(file, message, sizeof(message));

	if (argc != 4 || fd < 0 || size <= 0)
		return 1;
	for (int call = atoi(argv[3]); call; call--) {
		memset(&in, 0, sizeof(in));
		memset(&out, 0, sizeof(out));
		for (int i = 0; i < NR_VECTORS * VECTOR_SIZE; i++)
			in.vectors[i / VECTOR_SIZE][i % VECTOR_SIZE] = (uint8_t)(call * 7 + i * 13 + i / 251);
		in.pi = 3.14159265358979 + call;
		in.mxcsr = ROUND_UP_SSE;
		in.fcw = ROUND_UP_X87;
		if (write_holding(fd, message, size, &in, &out) != size)
			return 2;
		if (memcmp(in.vectors, out.vectors, sizeof(in.vectors)))
			return 3;
		if (in.pi != out.pi || in.mxcsr != out.mxcsr || in.fcw != out.fcw)
			return 4;
	}
	return 0;
}
