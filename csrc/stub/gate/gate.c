// SPDX-License-Identifier: Apache-2.0
/* The gate: one function call in the firmware's world, made from Linux'. */
#include <stub/gate/faults.h>
#include <stub/gate/gate.h>
#include <stub/gate/hardware.h>
#include <stub/gate/limit.h>
#include <stub/gate/state.h>
#include <stub/lib/io.h>
#include <stub/lib/string.h>
#include <stub/lib/stub.h>
#include <stub/lib/test.h>

enum {
	/* An image that Linux has started finds the 128 KiB of UEFI 2.10, 2.3.4 beside what we use. */
	GATE_STACK_SIZE = 256 * 1024,
	PRIORITY_ALL_HELD = 15,		/* CR8: no vector of the local APIC gets through */
	OWN_FRAMES = 4096,		/* pk_gate_wipe()'s, and an interrupt's on top of it */
};

static u8 gate_stack[GATE_STACK_SIZE] __attribute__((aligned(PK_PAGE_SIZE)));
static struct pk_cpu_context linux_cpu;

struct pk_gate_statistics pk_gate_statistics;

static bool timers_run = true;
static u64 epoch;

u64 pk_gate_epoch(void)
{
	return timers_run ? ++epoch : epoch;
}

void pk_gate_wipe(void)
{
	u64 here = (u64)__builtin_frame_address(0), start = (u64)gate_stack, end = start + GATE_STACK_SIZE;

	if (here > start && here <= end)
		end = here > start + OWN_FRAMES ? here - OWN_FRAMES : start;
	memset(gate_stack, 0, end - start);
}

/* Static: the caller's stack is Linux' and not mapped in the firmware's page tables. */
static struct {
	efi_status_t (*function)(void *argument);
	void *argument;
} call;

static void (*at_first)(void);

void pk_gate_at_first(void (*function)(void))
{
	at_first = function;
}

static u64 gate_body(void *unused)
{
	efi_status_t status;

	(void)unused;
	pk_faults_follow(true);
	pk_state_enter_firmware();
	pk_limit_start();
	if (at_first)
		at_first();
	at_first = NULL;
	status = call.function(call.argument);
	pk_limit_stop();
	pk_state_leave_firmware();
	return status;
}

static u64 lean_body(void *unused)
{
	efi_status_t status;

	(void)unused;
	pk_faults_follow(false);
	pk_state_enter_lean();
	status = call.function(call.argument);
	pk_state_leave_lean();
	return status;
}

/* start/levels.c sees to it that they are alike; a kernel with parameters of its own gets no firmware. */
static bool worlds_differ(void)
{
	return !pk_has_levels_of(pk_handoff.cpu.cr4);
}

efi_status_t pk_gate_call_lean(efi_status_t (*function)(void *), void *argument)
{
	static struct pk_cpu_context lean_cpu;
	bool interrupts_were_on = pk_interrupts_enabled();
	efi_status_t status;

	if (worlds_differ())
		return EFI_UNSUPPORTED;
	pk_interrupts_off();
	pk_gate_statistics.nr_lean_switches++;
	timers_run = false;
	lean_cpu = pk_handoff.cpu;
	lean_cpu.cr8 = PRIORITY_ALL_HELD;
	call.function = function;
	call.argument = argument;
	pk_faults_guard(&lean_cpu);
	status = pk_world_switch(&lean_cpu, &linux_cpu, lean_body, NULL, gate_stack + GATE_STACK_SIZE);
	pk_faults_release();
	timers_run = true;
	pk_faults_tell();
	if (interrupts_were_on)
		pk_interrupts_on();
	return status;
}

efi_status_t pk_gate_call(efi_status_t (*function)(void *), void *argument)
{
	static struct pk_cpu_context full_cpu;
	bool interrupts_were_on = pk_interrupts_enabled();
	u32 drained, eois;
	efi_status_t status;

	if (worlds_differ())
		return EFI_UNSUPPORTED;
	pk_interrupts_off();
	pk_state_leave_linux(interrupts_were_on, &drained, &eois);
	pk_gate_statistics.nr_switches++;
	epoch++;
	pk_gate_statistics.nr_drained += drained;
	pk_gate_statistics.nr_stale_eois += eois;

	call.function = function;
	call.argument = argument;
	full_cpu = pk_handoff.cpu;
	pk_faults_guard(&full_cpu);
	status = pk_world_switch(&full_cpu, &linux_cpu, gate_body, NULL, gate_stack + GATE_STACK_SIZE);
	pk_faults_release();
	/* What was found in it may have gone in it. */
	pk_test_forget(epoch++);

	pk_state_enter_linux();
	pk_faults_tell();
	if (interrupts_were_on)
		pk_interrupts_on();
	return status;
}
