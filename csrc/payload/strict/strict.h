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

/* ---- pages.c ---- */
/* All pages are user pages: what Linux protects its own from must not judge them. */
efi_status_t strict_users(u64 value);
/* Five levels of page tables. */
efi_status_t strict_la57(u64 value);
/* These bits of CR4, too. */
efi_status_t strict_cr4(u64 value);

#endif
