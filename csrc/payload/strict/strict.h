/* SPDX-License-Identifier: Apache-2.0 */
/* What a firmware may do and OVMF does not: a habit each, taken on before our image is started. */
#ifndef PK_PAYLOAD_STRICT_H
#define PK_PAYLOAD_STRICT_H

#include <efi/protocols.h>
#include <pykexec/abi.h>
#include <stub/lib/cpu.h>

extern struct efi_system_table *strict_st;
extern struct efi_boot_services *strict_bs;

/* ---- levels.S ---- */
void strict_five_levels(u32 root);
u64 strict_on_stack(u64 (*function)(void *), void *argument, u64 top);

/* ---- pages.c ---- */
/* All pages are user pages: what Linux protects its own from must not judge them. */
efi_status_t strict_users(u64 value);
/* Five levels of page tables. */
efi_status_t strict_la57(u64 value);
/* These bits of CR4, too. */
efi_status_t strict_cr4(u64 value);
/* A breakpoint that is off: a debugger's, kept for later. */
efi_status_t strict_dr0(u64 value);

/* ---- memory.c ---- */
/* So many entries more in the memory map. */
efi_status_t strict_map(u64 value);
/* Not more than so many MiB free below 4 GiB, above the first MiB. */
efi_status_t strict_low(u64 value);
/* Pages are given out as data, of whatever type they are. */
efi_status_t strict_nx(u64 value);
/* The top of a stack of so many pages, with one below that is not there. */
efi_status_t strict_stack(u64 value, u64 *ret_top);
/* Consoles that there are not: 1 ConIn, 2 ConOut, 4 StdErr. */
efi_status_t strict_consoles(u64 value);

#endif
