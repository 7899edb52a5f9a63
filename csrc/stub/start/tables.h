/* SPDX-License-Identifier: Apache-2.0 */
/* The private system table. */
#ifndef PK_STUB_TABLES_H
#define PK_STUB_TABLES_H

#include <efi/protocols.h>

struct efi_system_table *pk_private_tables(struct efi_loaded_image *linux_image);
efi_handle_t pk_linux_handle(void);

#endif
