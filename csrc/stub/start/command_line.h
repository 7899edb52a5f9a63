/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linux' command line. Its EFI stub measures it (PCR 9), so what is measured here is the same at every
 * start of a machine: the processor's rate, which is found anew each time, is put into Linux' copy.
 */
#ifndef PK_STUB_COMMAND_LINE_H
#define PK_STUB_COMMAND_LINE_H

#include <efi/protocols.h>

/* EFI_BAD_BUFFER_SIZE: it is too long. */
efi_status_t pk_command_line_build(struct efi_loaded_image *image);

/* When Linux has made its copy; EFI_NOT_FOUND: it has none. */
efi_status_t pk_command_line_finish(void);

#endif
