/* SPDX-License-Identifier: Apache-2.0 */
/* What the stub's files offer each other, in the order in which a boot uses them. */
#ifndef PK_STUB_H
#define PK_STUB_H

#include <efi/guids.h>
#include <efi/protocols.h>
#include <pykexec/abi.h>

/* ---- main.c: the firmware, as it called us ---- */
extern struct efi_system_table *pk_st;
extern struct efi_boot_services *pk_bs;
extern efi_handle_t pk_image;
extern struct efi_loaded_image *pk_loaded_image;
extern struct pk_handoff pk_handoff;

/* ---- string.c ---- */
void *memcpy(void *destination, const void *source, size_t size);
void *memset(void *buffer, int value, size_t size);
int memcmp(const void *a, const void *b, size_t size);
u64 pk_strlen(const char *text);
void *memmove(void *destination, const void *source, size_t size);
/* The value behind "name=" in a space-separated command line, or NULL. */
const char *pk_option(const char *command_line, const char *name);
u64 pk_parse_decimal(const char *text);
bool pk_guid_equal(const void *a, const efi_guid_t *b);

/* ---- console.c ---- */
/* %s char *, %S u16 *, %x and %d u64. */
void pk_print(const char *format, ...);
/* Print PK:stub:<stage>:<status> and keep it in the handoff's trace; returns status. */
efi_status_t pk_stage(enum pk_stage stage, efi_status_t status);
/* The trace alone: for stages at which nothing may be printed. */
void pk_trace(enum pk_stage stage, efi_status_t status);

/* ---- sections.c ---- */
struct pk_sections {
	struct pk_range kernel;		/* addresses in memory; size 0: absent */
	struct pk_range initrd;
	struct pk_range command_line;
};
extern struct pk_sections pk_sections;
efi_status_t pk_sections_find(void);

/* ---- measure.c ---- */
/* Extend our sections into PCR 11 as systemd-stub does. No TPM is not an error: *ret_measured tells. */
efi_status_t pk_measure_sections(bool *ret_measured);
extern bool pk_measured;
efi_status_t pk_tcg2_locate(struct efi_tcg2 **ret, struct efi_tcg2_capability *ret_capability);
/* Extend pcr by the digest of data; the log gets an EV_IPL event whose data is text, at most PK_TPM_EVENT_MAX bytes. */
efi_status_t pk_tcg2_extend(struct efi_tcg2 *tcg2, u32 pcr, const void *data, u64 size, const void *text,
			    u64 text_size);

/* ---- clock.c ---- */
u64 pk_tsc_khz(void);

/* ---- memory.c: memory of Linux, and the services that hand it out ---- */
efi_status_t pk_arena_allocate(u64 mib);
void pk_arena_release(void);
/* Empty again, for the next Linux. */
void pk_arena_reset(void);
u64 pk_arena_peak(void);
efi_status_t pk_arena_pages(u32 type, u64 nr_pages, u64 *ret_start);
void pk_arena_hook(struct efi_boot_services *services);
/* Bytes from start to the end of the range of Linux' memory that it lies in; 0 if in none. */
u64 pk_linux_memory_behind(u64 start);
efi_status_t pk_linux_memory_map(void *out, u64 capacity, u64 *ret_size, u64 *ret_step, u32 *ret_version);
u64 pk_arena_map_key(void);

/* ---- acpi.c ---- */
/* Private RSDP for Linux: hardware-reduced, one processor. */
void *pk_acpi_rsdp(void);

/* ---- tables.c: the private system table ---- */
struct efi_system_table *pk_private_tables(struct efi_loaded_image *linux_image);
efi_handle_t pk_linux_handle(void);

/* ---- linux.c ---- */
efi_status_t pk_linux_prepare(void);
/* Comes back when Linux has ended, by whatever way; interrupts are still off. */
void pk_linux_run(void);

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
 * Interfaces that were found at one epoch are good as long as it stays the same: the
 * firmware's timers, which may drop handles, have not run. Inside a full switch every
 * call begins a new one.
 */
u64 pk_handles_epoch(void);

/* ---- runtime.c: the private runtime services ---- */
void pk_runtime_fill(struct efi_runtime_services *services);

/* ---- mailbox.c ---- */
void pk_mailbox_init(void);
/* Before the switch: does the message ask for something that must not find the firmware's timer standing? */
bool pk_mailbox_needs_timers(u64 size);
/* The same of one request's body, which is looked at only for what it names. */
bool pk_service_needs_timers(u16 op, const void *body, u64 body_size);
/* In the firmware's world: answer the message of size bytes in pk_mailbox_input. */
efi_status_t pk_mailbox_serve(u64 size);
/* PK_MESSAGE_MAX bytes each; the input is also the bounce buffer of variables. */
extern u8 *const pk_mailbox_input;
extern u8 *const pk_mailbox_output;
extern u64 pk_mailbox_output_size;

/* Nothing of what passed through stays. */
void pk_mailbox_wipe(void);

/* ---- services.c: what the mailbox serves ---- */
void pk_services_init(void);
efi_status_t pk_service(u16 op, const void *body, u64 body_size, void *out, u64 capacity, u64 *ret_size);

/* ---- handles.c: handles by number ---- */
/* 0 when the table is full. Numbers start at 1 and are never reused. */
u32 pk_handle_number(efi_handle_t handle);
/* EFI_NOT_FOUND also when the firmware has dropped the handle since. */
efi_status_t pk_handle_lookup(u32 number, const efi_guid_t *protocol, void **ret);
/* NULL for a number that was never given out; the handle may be gone. */
efi_handle_t pk_handle_of(u32 number);
efi_status_t pk_handles_list(u32 first, void *out, u64 capacity, u64 *ret_size);
u32 pk_handles_count(void);

/* ---- secrets.c: what must not outlive Linux in memory ---- */
/* From now on Linux' memory counts as secret, until it is wiped. */
efi_status_t pk_secrets_announce(void);
bool pk_secrets_announced(void);
/* Linux has just ended: nothing of it stays in vector registers, which the firmware's handlers put on its stack. */
void pk_secrets_wipe_registers(void);
/* The arena and everything else that Linux could write to; nothing if none were announced. */
void pk_secrets_wipe(void);

/* ---- boot_device.c: where our image came from ---- */
void pk_boot_device_init(void);
/* NULL when it has gone; reconnecting a driver makes a new handle for the same path. */
efi_handle_t pk_boot_device(void);
efi_status_t pk_boot_path(void *out, u64 capacity, u64 *ret_size);

/* ---- payload.c ---- */
/* How this Linux ended, and what is to be done about it. */
struct pk_leave {
	bool requested;		/* by the mailbox or ResetSystem; else kexec */
	u32 action;		/* enum pk_action */
	u32 reset_type;		/* for PK_ACTION_RESET */
};
extern struct pk_leave pk_leave;
efi_status_t pk_payload_stage(const void *body, u64 size);
efi_status_t pk_payload_data(const void *body, u64 size);
bool pk_payload_ready(void);
/* Linux is locked down: its kernel, which verifies images, is the only one to bring any. */
void pk_payload_lock(void);
void pk_payload_unlock(void);
/* Is this request of the mailbox one that a locked-down Linux' root must not make? */
bool pk_payload_refuses(u16 op, const void *body, u64 size);
/* Start what Linux left to be started; returns the action to take now. */
enum pk_action pk_payload_run(void);
/* Load and start what PAYLOAD_STAGE and PAYLOAD_DATA brought, with Linux waiting. */
efi_status_t pk_image_start(void *out, u64 capacity, u64 *ret_size);

#endif
