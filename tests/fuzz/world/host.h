/* SPDX-License-Identifier: Apache-2.0 */
/* Included ahead of every file of the stub on the host: no privileged instruction, and a state that can be reset. */
#ifndef PK_FUZZ_HOST_H
#define PK_FUZZ_HOST_H

#include <pykexec/types.h>

/* In place of stub/lib/io.h. */
#define PK_STUB_IO_H
#define pk_interrupts_off() ((void)0)
#define pk_interrupts_on() ((void)0)
#define pk_interrupts_enabled() false

/* The next input finds the stub as it was linked: world/resident.c puts these back. */
#pragma clang section bss = "stub_bss" data = "stub_data"

static inline u64 pk_rdtsc(void)
{
	static u64 ticks;

	return ticks += 1000003;
}

#endif
