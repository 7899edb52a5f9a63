/* SPDX-License-Identifier: Apache-2.0 */
/* What the test applications share: printing and hexadecimal options. */
#ifndef PK_PAYLOAD_CONSOLE_H
#define PK_PAYLOAD_CONSOLE_H

#include <efi/tables.h>

/* Before anything is printed. */
void pk_console_init(struct efi_system_table *system_table);

void pk_put(const u16 *text);

/* A line: the label, then values in hexadecimal with colons between them. */
void pk_put_values(const u16 *label, const u64 *values, u32 nr_values);
#define pk_put_line(label, ...) \
	pk_put_values(label, (const u64[]){ __VA_ARGS__ }, sizeof((u64[]){ __VA_ARGS__ }) / sizeof(u64))

/* The hexadecimal number that follows name ("exit=") in options. */
bool pk_option(const u16 *options, const char *name, u64 *ret);

/* The image's load options, "" if it has none. */
const u16 *pk_options_of(efi_handle_t image_handle);

#endif
