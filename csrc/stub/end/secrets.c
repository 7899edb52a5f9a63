// SPDX-License-Identifier: Apache-2.0
/*
 * Secrets in Linux' memory. Linux says that it will have some, and cannot take it
 * back; when it ends, by whatever way, all that it could write to is wiped before
 * anything else gets to run: another image, a reset that leaves memory as it is.
 */
#include <stub/end/secrets.h>
#include <stub/lib/io.h>
#include <stub/lib/string.h>
#include <stub/lib/stub.h>
#include <stub/lib/test.h>

enum {
	LINE = 64,			/* bytes that are wiped at a time; ranges of Linux are whole pages */
	CPUID_XSAVE = 1 << 26,		/* leaf 1, ecx */
	CR4_OSXSAVE = 0x40000,
	XSAVE_SIZE = 512 + 64,		/* legacy region and header: all of it for state that is initial */
	XSAVE_MXCSR = 24,
	MXCSR_DEFAULT = 0x1f80,
};

static void (*const *wipes)(void);
static u32 nr_wipes;
static bool announced;
static efi_event_t exit_event;

void pk_secrets_init(void (*const *places)(void), u32 nr_places)
{
	wipes = places;
	nr_wipes = nr_places;
}

/*
 * Plain stores that bypass the caches: as fast as memory on a processor. For QEMU's emulation
 * they take two thirds of what "rep stos" takes, 0.05 s for 256 MiB; it then spends a second on
 * dropping the code that it had translated from there, whatever the stores.
 */
static bool wipe(const struct pk_range *range)
{
	u64 p = range->start, nr_lines = range->size / LINE;

	if (!nr_lines)
		return false;
	__asm__ volatile("1:\n\t"
			 "movnti %2, (%0)\n\tmovnti %2, 8(%0)\n\tmovnti %2, 16(%0)\n\tmovnti %2, 24(%0)\n\t"
			 "movnti %2, 32(%0)\n\tmovnti %2, 40(%0)\n\tmovnti %2, 48(%0)\n\tmovnti %2, 56(%0)\n\t"
			 "add %3, %0\n\tdec %1\n\tjnz 1b\n\tsfence"
			 : "+r"(p), "+r"(nr_lines) : "r"(0ULL), "i"(LINE) : "memory", "cc");
	return true;
}

static bool wipe_all(void)
{
	wipe(&pk_handoff.arena);
	wipe(&pk_handoff.low);
	for (u32 i = 0; i < nr_wipes; i++)
		wipes[i]();
	return true;
}

/* An operating system that Linux had the firmware start has taken the machine, with Linux waiting. */
static void EFIAPI wipe_at_exit(efi_event_t event, void *context)
{
	(void)event;
	(void)context;
	if (announced)
		pk_test_secrets_wipe(wipe_all());
	announced = false;
}

efi_status_t pk_secrets_announce(struct pk_call *call)
{
	(void)call;
	announced = true;
	if (exit_event)
		return EFI_SUCCESS;
	return pk_bs->create_event(EFI_EVT_SIGNAL_EXIT_BOOT_SERVICES, EFI_TPL_CALLBACK, wipe_at_exit, NULL,
				   &exit_event);
}

bool pk_secrets_announced(void)
{
	return announced;
}

void pk_secrets_wipe(void)
{
	if (!announced)
		return;
	pk_test_secrets_wipe(wipe_all());
	announced = false;
	if (exit_event)
		pk_bs->close_event(exit_event);
	exit_event = NULL;
}

/* Every component that Linux had enabled, back to its initial state (SDM 1, 13.8). */
static bool initialize_vectors(void)
{
	static u8 initial[XSAVE_SIZE] __attribute__((aligned(64)));
	u64 cr4;

	if (!(pk_cpuid(1, 0).ecx & CPUID_XSAVE))
		return false;
	/* Of the area it is loaded in any case. */
	memcpy(initial + XSAVE_MXCSR, &(u32){ MXCSR_DEFAULT }, 4);
	__asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
	__asm__ volatile("mov %0, %%cr4" : : "r"(cr4 | CR4_OSXSAVE));
	__asm__ volatile("xrstor64 %0" : : "m"(initial), "a"(~0u), "d"(~0u));
	__asm__ volatile("mov %0, %%cr4" : : "r"(cr4));
	return true;
}

static bool clear_vectors(void)
{
	__asm__ volatile("pxor %xmm0, %xmm0\n\tpxor %xmm1, %xmm1\n\tpxor %xmm2, %xmm2\n\tpxor %xmm3, %xmm3\n\t"
			 "pxor %xmm4, %xmm4\n\tpxor %xmm5, %xmm5\n\tpxor %xmm6, %xmm6\n\tpxor %xmm7, %xmm7\n\t"
			 "pxor %xmm8, %xmm8\n\tpxor %xmm9, %xmm9\n\tpxor %xmm10, %xmm10\n\tpxor %xmm11, %xmm11\n\t"
			 "pxor %xmm12, %xmm12\n\tpxor %xmm13, %xmm13\n\tpxor %xmm14, %xmm14\n\tpxor %xmm15, %xmm15");
	return true;
}

static bool wipe_registers(void)
{
	if (!initialize_vectors())
		clear_vectors();
	__asm__ volatile("fldcw %0\n\tldmxcsr %1" : : "m"(pk_handoff.cpu.fcw), "m"(pk_handoff.cpu.mxcsr));
	return true;
}

void pk_secrets_wipe_registers(void)
{
	if (announced)
		pk_test_secrets_wipe(wipe_registers());
}
