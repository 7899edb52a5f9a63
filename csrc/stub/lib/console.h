/* SPDX-License-Identifier: Apache-2.0 */
/* Words for the person at the console, stage markers for programs. */
#ifndef PK_STUB_CONSOLE_H
#define PK_STUB_CONSOLE_H

#include <efi/types.h>
#include <pykexec/abi.h>

/* %s char *, %S u16 *, %x and %d u64. */
void pk_print(const char *format, ...);
/* Print PK:stub:<stage>:<status> and keep it in the handoff's trace; returns status. */
efi_status_t pk_stage(enum pk_stage stage, efi_status_t status);
/* The trace alone: for stages at which nothing may be printed. */
void pk_trace(enum pk_stage stage, efi_status_t status);

#endif
