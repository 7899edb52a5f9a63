// SPDX-License-Identifier: Apache-2.0
/* Inputs that do not come to an end, on purpose: as a loop, as one that waits, and only slowly. */
#include <unistd.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	volatile u64 turns = 0;
	unsigned int left_s = 2;

	switch (size ? data[0] : 0) {
	case 'l':
		for (;;)
			turns++;
	case 'w':
		for (;;)
			pause();
	case 's':
		while (left_s)	/* libFuzzer's timer ends it early. */
			left_s = sleep(left_s);
	}
	return 0;
}
