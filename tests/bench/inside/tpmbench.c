// SPDX-License-Identifier: Apache-2.0
/* The commands of csrc/payload/tpmbench.c, through the character device that is named. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include <payload/bench.h>

static int measure(int fd, bool pcr_read, const u8 *command, u32 size)
{
	static u8 answer[BENCH_TPM_ANSWER_MAX];
	u64 start = bench_tsc();

	for (u32 i = 0; i < BENCH_TPM_COMMANDS; i++) {
		if (write(fd, command, size) != (ssize_t)size || read(fd, answer, sizeof(answer)) < 10 ||
		    !bench_tpm_succeeded(answer)) {
			perror("TPM command");
			return 1;
		}
	}
	printf("BENCH:tpm:%x:%x:%" PRIx64 "\n", pcr_read, BENCH_TPM_COMMANDS, bench_tsc() - start);
	return 0;
}

int main(int argc, char **argv)
{
	int fd = argc == 2 ? open(argv[1], O_RDWR) : -1;
	int result;

	if (fd < 0) {
		perror("open");
		return 1;
	}
	result = measure(fd, false, bench_tpm_random, sizeof(bench_tpm_random)) ||
		 measure(fd, true, bench_tpm_pcr_read, sizeof(bench_tpm_pcr_read));
	printf("BENCH:end:%x\n", result);
	return result;
}
