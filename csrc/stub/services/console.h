/* SPDX-License-Identifier: Apache-2.0 */
/* The firmware's console for Linux, which has no keyboard and may have no screen: keys, text, dots. */
#ifndef PK_STUB_SERVICES_CONSOLE_H
#define PK_STUB_SERVICES_CONSOLE_H

#include <stub/lib/call.h>

/* Which parts of a console there are. */
efi_status_t pk_console_info(struct pk_call *call);
/* What was typed on any keyboard that ConIn stands for; nothing typed is an empty answer. */
efi_status_t pk_console_keys(struct pk_call *call);
/* Text where the cursor is. */
efi_status_t pk_console_write(struct pk_call *call);
/* Text in a place and a colour. */
efi_status_t pk_console_text(struct pk_call *call);
/* A bitmap on the screen. */
efi_status_t pk_console_draw(struct pk_call *call);

#endif
