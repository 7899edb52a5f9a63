/* SPDX-License-Identifier: Apache-2.0 */
/* The gate: the switch between the firmware's world and Linux'. */
#ifndef PK_STUB_GATE_H
#define PK_STUB_GATE_H

#include <efi/types.h>
#include <pykexec/abi.h>

/* ---- gate.S ---- */
u64 pk_context_save(struct pk_cpu_context *context) __attribute__((returns_twice));
void pk_resume_entry(struct pk_handoff *handoff, u64 boot_params) __attribute__((noreturn));
u64 pk_world_switch(const struct pk_cpu_context *firmware, struct pk_cpu_context *linux_context,
		    u64 (*function)(void *), void *argument, void *stack_top);

/* ---- gate.c ---- */
/* Run function(argument) in the firmware's world, its timer alive; argument must not be on Linux' stack. */
efi_status_t pk_gate_call(efi_status_t (*function)(void *), void *argument);
/*
 * The same, its timer standing still: half the price, for drivers that poll. What
 * waits for a timer event waits for ever here. Handles cannot come or go meanwhile
 * but by what function does.
 */
efi_status_t pk_gate_call_lean(efi_status_t (*function)(void *), void *argument);
/* Once, in the firmware's world, before the next full call: Linux has page tables of its own by then. */
void pk_gate_at_first(void (*function)(void));
struct pk_gate_statistics {
	u64 nr_switches;	/* full ones */
	u64 nr_lean_switches;
	u64 nr_stale_eois;
	u64 nr_drained;
};
extern struct pk_gate_statistics pk_gate_statistics;
/* What calls left on the gate's stack; also from a call of the gate, whose own frames stay. */
void pk_gate_wipe(void);

/*
 * As long as it stays the same the firmware's timers, which may drop handles, have not run:
 * it moves at both ends of a full switch, and inside of one with every call.
 */
u64 pk_gate_epoch(void);

#endif
