/* SPDX-License-Identifier: Apache-2.0 */
/* The stub on the host, as Linux sees it. */
#ifndef PK_FUZZ_RESIDENT_H
#define PK_FUZZ_RESIDENT_H

#include <efi/protocols.h>

enum { STUB_LINUX_SIZE = 256 * 1024 };

/* A new machine, on which Linux has just been entered. */
void stub_start(void);
/* Linux has ended; the next one may be entered, or nothing may be left of the stub. */
void stub_next_linux(void);
void stub_end(void);

/* What Linux has of it. */
extern struct efi_runtime_services stub_services;
efi_status_t (EFIAPI *stub_native_call(void))(u64 requests, u64 nr_requests);
extern u8 stub_linux_memory[STUB_LINUX_SIZE];

#endif
