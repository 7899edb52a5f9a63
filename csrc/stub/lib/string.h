/* SPDX-License-Identifier: Apache-2.0 */
/* The few string functions that the stub needs. */
#ifndef PK_STUB_STRING_H
#define PK_STUB_STRING_H

#include <common/mem.h>
#include <efi/types.h>

void *memmove(void *destination, const void *source, size_t size);
u64 pk_strlen(const char *text);
/* The value behind "name=" in a space-separated command line, or NULL. */
const char *pk_option(const char *command_line, const char *name);
/* Is word one of the words of a command line, size bytes separated by spaces? */
bool pk_has_word(const void *command_line, u64 size, const char *word);
u64 pk_parse_decimal(const char *text);
bool pk_guid_equal(const void *a, const efi_guid_t *b);

#endif
