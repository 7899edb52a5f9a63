/* SPDX-License-Identifier: Apache-2.0 */
/* What every room of the stub knows: the firmware that called us, our own image, what we tell who comes after us. */
#ifndef PK_STUB_STUB_H
#define PK_STUB_STUB_H

#include <efi/guids.h>
#include <efi/protocols.h>
#include <pykexec/abi.h>

extern struct efi_system_table *pk_st;
extern struct efi_boot_services *pk_bs;
extern efi_handle_t pk_image;
extern struct efi_loaded_image *pk_loaded_image;
extern struct pk_handoff pk_handoff;

/* Linux sets the window aside, as it has shown; before, it may be memory to it as all else. */
extern bool pk_window_is_shared;

/* Bytes from start to the end of Linux' memory there; 0 if none of it is there. */
u64 pk_linux_memory_behind(u64 start);

#endif
