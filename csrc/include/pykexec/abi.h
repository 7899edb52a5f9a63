/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that crosses a border: stub <-> Linux <-> resume image <-> Python.
 *
 * Read by the C compiler and, after the preprocessor, by cffi: so only structs
 * and enums here, fixed-width members, explicit padding, no pointers.
 */
#ifndef PYKEXEC_ABI_H
#define PYKEXEC_ABI_H

#ifdef PK_CFFI
#define PK_ABI_ASSERT(type, bytes)
#else
#include <pykexec/types.h>
#define PK_ABI_ASSERT(type, bytes) \
	_Static_assert(sizeof(struct type) == (bytes), #type " changed size");
#endif

enum pk_limits {
	PK_PAGE_SIZE		= 4096,
	PK_MESSAGE_MAX		= 1052672,	/* 1 MiB of data and a page of headers, each way */
	PK_BATCH_MAX		= 256,		/* requests in one message */
	PK_HANDLE_MAX		= 4096,		/* handles that the stub numbers */
	PK_OPTIONS_MAX		= 4096,		/* bytes of UCS-2 load options */
	PK_DEVICE_PATH_MAX	= 2048,		/* bytes, end node included */
	PK_PATH_MAX		= 1024,		/* bytes of a UCS-2 file path, terminator included */
	PK_TRACE_MAX		= 64,		/* entries kept, the oldest is overwritten */
	PK_STATE_MAX		= 2560,		/* values in one state snapshot */
	PK_STATE_NAME_MAX	= 24,
	PK_PAYLOAD_MAX		= 1073741824,	/* bytes */
	PK_ARENA_DEFAULT	= 268435456,	/* bytes, unless pykexec.arena=<MiB>M is in .cmdline */
	/*
	 * Measured (tests/vm/test_arena.py): stock 6.1 and 6.12 panic below 96 to 112 MiB,
	 * and below 128 the generic one has no memory left to start a payload.
	 */
	PK_ARENA_MIN		= 134217728,
	PK_PARAMETERS_MAX	= 640,		/* bytes that the stub appends to .cmdline */
};

/* A physical interval [start, start + size). */
struct pk_range {
	u64 start;
	u64 size;
};
PK_ABI_ASSERT(pk_range, 16)

/* ---- stages: what console markers PK:<component>:<stage>:<status> and the trace say ---- */

enum pk_component {
	PK_COMPONENT_STUB	= 1,
	PK_COMPONENT_RESUME	= 2,
	PK_COMPONENT_PAYLOAD	= 3,	/* the test application */
	PK_COMPONENT_AGENT	= 4,
};

enum pk_stage {
	PK_STAGE_START		= 1,	/* stub entered by the firmware */
	PK_STAGE_SECTIONS	= 2,	/* its own sections found */
	PK_STAGE_MEASURE	= 3,	/* what the image says of itself logged */
	PK_STAGE_ARENA		= 4,	/* memory for Linux allocated */
	PK_STAGE_KERNEL		= 5,	/* kernel PE laid out in the arena */
	PK_STAGE_CONTEXT	= 6,	/* firmware context saved, handoff sealed */
	PK_STAGE_LINUX		= 7,	/* Linux entered */
	PK_STAGE_EXIT_BS	= 8,	/* ExitBootServices answered */
	PK_STAGE_RESUME		= 9,	/* resume image entered / firmware context being restored */
	PK_STAGE_HANDOFF	= 10,	/* handoff found and checked by the resume image */
	PK_STAGE_FIRMWARE	= 11,	/* back in the firmware, devices restored */
	PK_STAGE_LOAD		= 12,	/* LoadImage of the payload */
	PK_STAGE_STARTED	= 13,	/* StartImage about to be called */
	PK_STAGE_RETURNED	= 14,	/* payload returned or exited */
	PK_STAGE_LEAVE		= 15,	/* Linux left without kexec */
	PK_STAGE_ACTION		= 16,	/* failure action taken; status holds enum pk_action */
	PK_STAGE_READY		= 17,	/* agent is ready */
	PK_STAGE_TICKS		= 18,	/* the firmware's timer ticks, and does after Linux' turn */
};

struct pk_trace_entry {
	u16 component;	/* enum pk_component */
	u16 stage;	/* enum pk_stage */
	u32 sequence;	/* counts from 1 over the life of the stub */
	u64 tsc;
	u64 status;	/* efi_status_t, or what the stage says */
};
PK_ABI_ASSERT(pk_trace_entry, 24)

/* ---- handoff: how the resume image and the agent find the stub ---- */

enum pk_handoff_constants {
	PK_HANDOFF_MAGIC	= 0x46464f444e41484b,	/* "KHANDOFF" */
	PK_HANDOFF_VERSION	= 1,
};

/* What a payload's or Linux' end leads to. */
enum pk_action {
	PK_ACTION_AGENT		= 0,	/* start Linux again from the image still in memory */
	PK_ACTION_FIRMWARE	= 1,	/* return success: the boot manager shows its menu */
	PK_ACTION_BOOT_NEXT	= 2,	/* return an error: the boot manager tries its next entry */
	PK_ACTION_RESET		= 3,	/* cold reset */
	PK_ACTION_SHELL		= 4,	/* start Linux again, into its rescue shell */
	PK_ACTION_PAYLOAD	= 5,	/* LEAVE only: start the payload that was staged */
};

/* Processor state of the firmware at the moment Linux was entered; offsets are used by gate.S. */
struct pk_cpu_context {
	u64 cr0;
	u64 cr3;
	u64 cr4;
	u64 cr8;
	u64 efer;
	u64 pat;
	u64 fs_base;
	u64 gs_base;
	u64 kernel_gs_base;
	u64 rbx;
	u64 rbp;
	u64 rsi;
	u64 rdi;
	u64 r12;
	u64 r13;
	u64 r14;
	u64 r15;
	u64 rsp;
	u64 rip;
	u64 rflags;
	u8 gdtr[16];	/* limit in bytes 0-1, base in 2-9 */
	u8 idtr[16];
	u16 cs;
	u16 ds;
	u16 es;
	u16 fs;
	u16 gs;
	u16 ss;
	u16 tr;
	u16 ldtr;
	u32 mxcsr;
	u16 fcw;
	u16 reserved;
};
PK_ABI_ASSERT(pk_cpu_context, 216)

/* The last payload's fate, for the agent that is started after it. */
struct pk_outcome {
	u32 nr_runs;	/* round trips so far: Linux ended and the firmware was restored */
	u32 stage;	/* 0 none, PK_STAGE_LOAD, PK_STAGE_RETURNED, PK_STAGE_LEAVE */
	u64 status;	/* efi_status_t of LoadImage or of the payload */
	u32 action;	/* enum pk_action that was taken */
	u32 reserved;
};
PK_ABI_ASSERT(pk_outcome, 24)

enum pk_last_end_constants {
	PK_LAST_END_VERSION	= 1,
	PK_REASON_MAX		= 256,
};

/* The variable PK_LAST_END_NAME: how it ended the last time that anything was to be said of it. */
struct pk_last_end {
	u32 version;
	u32 stage;	/* enum pk_stage, as in pk_outcome; PK_STAGE_LINUX: it could not be started */
	u64 status;
	u32 action;	/* enum pk_action that was taken */
	u32 reserved;
	u8 reason[256];	/* UTF-8 of Linux' own, zero padded: there may be none */
};
PK_ABI_ASSERT(pk_last_end, 280)

/*
 * Lives in the stub's image, which Linux sees as runtime services code: it never
 * allocates there. Found through the vendor configuration table PK_HANDOFF_GUID
 * of the EFI system table in boot_params.
 */
struct pk_handoff {
	u64 magic;
	u32 version;
	u32 size;		/* of this struct */
	u32 checksum;		/* CRC-32 of the first sealed_size bytes with this field 0 */
	u32 sealed_size;	/* everything up to boot_params; what follows may change */
	u64 resume_entry;	/* SysV: rdi = this struct, rsi = boot_params; identity mapped, IF=0 */
	struct pk_range stub;	/* the resident image, page aligned */
	struct pk_range arena;
	struct pk_range low;	/* below 640 KiB, for the real-mode trampoline */
	struct pk_range window;	/* shared memory, struct pk_window leads it; size 0: none to be had */
	u64 tsc_khz;
	struct pk_cpu_context cpu;
	/* -- not sealed -- */
	u64 boot_params;	/* of the kernel that kexec left behind, 0 after leave */
	u64 tsc_linux;		/* TSC when Linux was entered last */
	u64 tsc_resume;		/* TSC when the resume entry was reached */
	struct pk_outcome outcome;
	u32 nr_trace;		/* entries ever written; the newest is trace[(nr_trace - 1) % PK_TRACE_MAX] */
	u32 reserved;
	struct pk_trace_entry trace[64];
};
PK_ABI_ASSERT(pk_handoff, 1912)

/* ---- mailbox: one variable write carries a message, one read its answer ---- */

enum pk_mailbox_constants {
	PK_MESSAGE_MAGIC	= 0x4c49414d,	/* "MAIL" */
	PK_MESSAGE_VERSION	= 1,
	PK_MAILBOX_ATTRIBUTES	= 6,		/* BOOTSERVICE_ACCESS | RUNTIME_ACCESS, volatile */
};

/* Leads both messages and answers; nr_records records of 8-byte aligned size follow. */
struct pk_message {
	u32 magic;
	u16 version;
	u16 nr_records;
	u32 size;	/* of the whole message */
	u32 sequence;	/* chosen by the client, repeated in the answer */
};
PK_ABI_ASSERT(pk_message, 16)

enum pk_op {
#define OP(number, name, body, handler, timers, carriers, lock) PK_OP_##name = number,
#include <pykexec/operations.def>
};

struct pk_request {
	u16 op;		/* enum pk_op */
	u16 flags;	/* enum pk_request_flags */
	u32 size;	/* of this record, body included, before padding to 8 */
	u32 tag;	/* repeated in the reply */
	u32 reserved;
};
PK_ABI_ASSERT(pk_request, 16)

enum pk_request_flags {
	PK_REQUEST_TIMERS	= 1,	/* the firmware's timer must run, whatever is asked for: a full switch */
};

struct pk_reply {
	u16 op;
	u16 flags;
	u32 size;	/* of this record, body included, before padding to 8 */
	u32 tag;
	u32 reserved;
	u64 status;	/* efi_status_t */
};
PK_ABI_ASSERT(pk_reply, 24)

/* Handles are named by numbers that the stub gives out, never by address. */
struct pk_handle_request {
	u32 handle;
	u32 reserved;
};
PK_ABI_ASSERT(pk_handle_request, 8)

enum pk_info_flags {
	PK_INFO_SECURE_BOOT	= 1,
	PK_INFO_TPM		= 2,	/* EFI_TCG2 present with a TPM 2.0 */
	PK_INFO_MEASURED	= 4,	/* there is a TPM, and what we are is in its registers */
	PK_INFO_SHELL		= 8,	/* the action that started this Linux was PK_ACTION_SHELL */
	PK_INFO_LOG_FULL	= 16,	/* the firmware's event log had no room for our events */
};

enum pk_accident_kind {
	PK_ACCIDENT_NONE		= 0,
	PK_ACCIDENT_HANG		= 1,	/* the firmware did not return from a call in time */
	PK_ACCIDENT_MACHINE_CHECK	= 2,
	PK_ACCIDENT_DOUBLE_FAULT	= 3,
};

/* Why the machine was reset while the firmware worked for Linux, at the start before this one. */
struct pk_accident {
	u32 kind;	/* enum pk_accident_kind */
	u32 number;	/* HANG: enum pk_op, 0 for a runtime service; MACHINE_CHECK: the bank */
	u64 detail;	/* MACHINE_CHECK: that bank's IA32_MCi_STATUS */
	u64 address;	/* of the instruction that it came at, 0: not known */
};
PK_ABI_ASSERT(pk_accident, 24)

struct pk_info {
	u32 abi_version;	/* PK_MESSAGE_VERSION */
	u32 flags;		/* enum pk_info_flags */
	u32 firmware_revision;
	u32 uefi_revision;	/* of the system table: major << 16 | minor */
	u64 tsc_khz;
	u64 nr_switches;	/* world switches so far */
	u64 arena_peak;		/* bytes of the arena that were in use at once before ExitBootServices */
	u32 boot_volume;	/* handle the image was loaded from, 0 if none (network) */
	u32 nr_handles;
	struct pk_outcome outcome;
	struct pk_accident accident;
	u16 vendor[64];		/* UCS-2, terminated */
	u16 image_path[512];	/* UCS-2 file path of our image on boot_volume, terminated; empty if none */
};
PK_ABI_ASSERT(pk_info, 1248)

struct pk_handles_request {
	u32 first;	/* index of the first handle wanted */
	u32 reserved;
};
PK_ABI_ASSERT(pk_handles_request, 8)

struct pk_handles_reply {
	u32 nr_handles;	/* in the firmware's database now */
	u32 nr_entries;	/* in this reply; ask again from first + nr_entries */
};
PK_ABI_ASSERT(pk_handles_reply, 8)

/* Followed by nr_protocols GUIDs, then the device path; padded to 8. */
struct pk_handle_entry {
	u32 size;		/* of the padded entry */
	u32 handle;
	u16 nr_protocols;
	u16 device_path_size;	/* 0 if none */
	u32 reserved;
};
PK_ABI_ASSERT(pk_handle_entry, 16)

enum pk_memory_map_kind {
	PK_MEMORY_MAP_FIRMWARE	= 0,	/* what GetMemoryMap says now */
	PK_MEMORY_MAP_LINUX	= 1,	/* what Linux was given */
};

struct pk_memory_map_request {
	u32 kind;	/* enum pk_memory_map_kind */
	u32 reserved;
};
PK_ABI_ASSERT(pk_memory_map_request, 8)

struct pk_memory_map_reply {
	u32 descriptor_size;
	u32 nr_descriptors;
};
PK_ABI_ASSERT(pk_memory_map_reply, 8)

enum pk_state_flags {
	PK_STATE_HAS_LEFT	= 1,	/* left and after are valid: Linux has ended at least once */
	PK_STATE_GATE		= 2,	/* the gate switches this item too: during must equal before */
	PK_STATE_VOLATILE	= 4,	/* moves by itself; reported, never compared */
	PK_STATE_TOLD		= 8,	/* what Linux changes stays so: reported, and nobody's fault */
};

/* One value of the machine's state (csrc/stub/gate/state.c), four times. */
struct pk_state_entry {
	u8 name[24];	/* ASCII, zero padded; "pci.command 00:1f.2" */
	u32 flags;	/* enum pk_state_flags */
	u32 reserved;
	u64 before;	/* when Linux was entered first */
	u64 during;	/* now, inside the firmware's world */
	u64 left;	/* as Linux left it at its last end */
	u64 after;	/* read again after it was restored */
};
PK_ABI_ASSERT(pk_state_entry, 64)

struct pk_self_test_request {
	u32 period_us;		/* of the firmware timer event */
	u32 duration_us;	/* of the Stall in which it is counted, at most 10 s */
};
PK_ABI_ASSERT(pk_self_test_request, 8)

struct pk_self_test_reply {
	u64 nr_ticks;
	u64 nr_switches;
	u64 nr_stale_eois;	/* in-service interrupts found and ended on the way in */
	u64 nr_drained;		/* latched interrupts taken before the firmware's IDT was loaded */
};
PK_ABI_ASSERT(pk_self_test_reply, 32)

struct pk_volume_info {
	u64 size;
	u64 free_space;
	u32 block_size;
	u32 read_only;
	u16 label[64];	/* UCS-2, terminated */
};
PK_ABI_ASSERT(pk_volume_info, 152)

struct pk_file_request {
	u32 handle;	/* with SIMPLE_FILE_SYSTEM */
	u32 path_size;	/* bytes of the path that follows, terminator included */
	u64 offset;
	u64 size;	/* bytes wanted */
};
PK_ABI_ASSERT(pk_file_request, 24)

struct pk_file_reply {
	u64 file_size;
	u64 attributes;	/* EFI_FILE_INFO.Attribute; a directory reads as EFI_FILE_INFO records */
};
PK_ABI_ASSERT(pk_file_reply, 16)

/* Followed by the device path and the UCS-2 load options (terminated, may be empty). */
struct pk_payload_request {
	u32 token;		/* non-zero; kexec's command line names it as "pykexec.payload=<token>" */
	u32 failure_action;	/* enum pk_action but PAYLOAD: when LoadImage refuses or the payload returns */
	u32 device_path_size;	/* 0: a memory-mapped path is made, on the image's own volume */
	u32 options_size;	/* bytes, 0 for none */
	u64 payload_size;	/* bytes that PAYLOAD_DATA will bring; 0 for kexec */
};
PK_ABI_ASSERT(pk_payload_request, 24)

struct pk_payload_data {
	u64 offset;	/* bytes follow to the end of the record */
};
PK_ABI_ASSERT(pk_payload_data, 8)

struct pk_image_reply {
	u64 status;	/* what the image returned, or LoadImage's refusal */
	u32 stage;	/* PK_STAGE_LOAD: refused; PK_STAGE_RETURNED: it came back or stays resident */
	u32 reserved;
};
PK_ABI_ASSERT(pk_image_reply, 16)

enum pk_ram_action {
	PK_RAM_REMEMBER	= 0,	/* keep digests of these kinds, of those that there are none of yet */
	PK_RAM_COMPARE	= 1,	/* answer with what differs, of all kinds that were asked for */
};

/* Memory of the firmware's map that is its own, or its operating system's to read. */
enum pk_ram_kinds {
	PK_RAM_RUNTIME	= 1,	/* runtime services' code and data */
	PK_RAM_ACPI	= 2,	/* ACPI's, reclaimable or not */
	PK_RAM_RESERVED	= 4,	/* reserved, where it is cacheable memory */
};

struct pk_ram_request {
	u32 action;	/* enum pk_ram_action */
	u32 kinds;	/* enum pk_ram_kinds */
};
PK_ABI_ASSERT(pk_ram_request, 8)

/* Of the kinds that were asked for; followed by nr_changed struct pk_ram_range. */
struct pk_ram_reply {
	u64 watched;	/* bytes that there are digests of */
	u64 left_out;	/* bytes that are not mapped, or more than there is room for */
	u32 nr_pieces;
	u32 nr_changed;
	u32 kinds;	/* of all that there are digests of */
	u32 reserved;
};
PK_ABI_ASSERT(pk_ram_reply, 32)

struct pk_ram_range {
	struct pk_range range;
	u32 type;	/* EFI_MEMORY_TYPE */
	u32 reserved;
};
PK_ABI_ASSERT(pk_ram_range, 24)

struct pk_acpi_request {
	u32 index;	/* of the firmware's tables, in the order of its XSDT */
	u32 offset;	/* bytes into the table */
};
PK_ABI_ASSERT(pk_acpi_request, 8)

/* Followed by as many of the table's bytes as there is room for; none behind the last table. */
struct pk_acpi_reply {
	u32 nr_tables;
	u32 size;	/* of the table */
};
PK_ABI_ASSERT(pk_acpi_reply, 8)

struct pk_leave_request {
	u32 action;	/* enum pk_action */
	u32 reserved;	/* the reason may follow to the end of the record, UTF-8, at most PK_REASON_MAX bytes */
};
PK_ABI_ASSERT(pk_leave_request, 8)

#include <pykexec/console.h>
#include <pykexec/devices.h>

#endif
