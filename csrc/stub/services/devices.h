/* SPDX-License-Identifier: Apache-2.0 */
/* The firmware's devices as the mailbox and the window reach them; everything here runs in the firmware's world. */
#ifndef PK_STUB_DEVICES_H
#define PK_STUB_DEVICES_H

#include <stub/lib/stub.h>

/* ---- transfer.c ---- */
/*
 * Do what a private copy of a descriptor says and set its status and result. data
 * has room for the larger of size and capacity; Linux may change it meanwhile.
 */
void pk_transfer(struct pk_descriptor *descriptor, u8 *data);
/* Do the drivers behind handle wait for timer events? Then only a full switch reaches them. */
bool pk_handle_needs_timers(u32 handle);
/* From Linux' world, where only what was found before is known. */
bool pk_handle_is_known_to_poll(u32 handle);

/* ---- window.c ---- */
/* Take memory for the window; none is no error. */
void pk_window_allocate(void);
void pk_window_release(void);
/* Linux has ended: sectors and frames that passed through are nobody's business any more. */
void pk_window_wipe(void);
/* All that Linux can write to, but for the header. */
void pk_window_wipe_all(void);
/* From Linux' world: serve what is posted. False: nothing was. */
bool pk_window_bell(void);

/* ---- block.c ---- */
efi_status_t pk_block_info(u32 handle, void *out, u64 capacity, u64 *ret_size);
efi_status_t pk_block_read(const struct pk_block_request *request, void *out, u64 capacity, u64 *ret_size);
efi_status_t pk_block_transfer(struct pk_descriptor *descriptor, u8 *data);
/* Disconnect and connect again every disk that Linux wrote to: partitions and file systems are read anew. */
efi_status_t pk_block_refresh(void);

/* Sectors that had to take a detour stay nowhere. */
void pk_block_wipe(void);

/* ---- net.c ---- */
/* What the firmware's own network boot left, before anybody disturbs it. */
void pk_net_init(void);
efi_status_t pk_net_info(u32 handle, void *out, u64 capacity, u64 *ret_size);
efi_status_t pk_net_open(u32 handle, void *out, u64 capacity, u64 *ret_size);
efi_status_t pk_net_close(u32 handle);
efi_status_t pk_net_exchange(struct pk_descriptor *descriptor, u8 *data);
efi_status_t pk_net_statistics(u32 handle, void *out, u64 capacity, u64 *ret_size);
efi_status_t pk_net_pxe(u32 handle, void *out, u64 capacity, u64 *ret_size);
/* Linux has ended: every NIC that it took is shut down and the firmware's again. */
void pk_net_release(void);

/* ---- tpm.c ---- */
efi_status_t pk_tpm_info(void *out, u64 capacity, u64 *ret_size);
efi_status_t pk_tpm_command(struct pk_descriptor *descriptor, u8 *data);
efi_status_t pk_tpm_event_log(const struct pk_event_log_request *request, void *out, u64 capacity, u64 *ret_size);
/* struct pk_tpm_event and its data, size bytes in all. */
efi_status_t pk_tpm_event(const void *body, u64 size);

/* ---- ramdisk.c ---- */
efi_status_t pk_ramdisk_create(const struct pk_ramdisk_request *request, void *out, u64 capacity, u64 *ret_size);
efi_status_t pk_ramdisk_data(const void *body, u64 size);
efi_status_t pk_ramdisk_register(u32 ramdisk, void *out, u64 capacity, u64 *ret_size);
efi_status_t pk_ramdisk_remove(u32 ramdisk);
efi_status_t pk_ramdisk_list(void *out, u64 capacity, u64 *ret_size);
/* The firmware gets the machine back: what the disks held must not stay behind. */
void pk_ramdisk_release(void);

/* ---- nfit.c ---- */
/* Do the firmware's ACPI tables tell an operating system of this memory? */
bool pk_nfit_announces(u64 start, u64 size);

#endif
