/* SPDX-License-Identifier: Apache-2.0 */
/* Serial Port Console Redirection Table (Microsoft, revision 4): the firmware's console, for Linux' command line. */
#ifndef PK_COMMON_SPCR_H
#define PK_COMMON_SPCR_H

#include <pykexec/types.h>

enum {
	PK_SPCR_WORD_MAX	= 64,	/* bytes, terminator included */
	PK_NR_SERIAL_PORTS	= 4,
};

/* A PC's serial ports, in the order that Linux names them in (asm/serial.h). */
extern const u16 pk_serial_ports[4];

/*
 * The word by which Linux knows that port: "console=ttyS1,115200", or by its address where that is
 * none of a PC's four. False where the table is damaged, switched off, or names what is no 16550.
 */
bool pk_spcr_console(const void *table, u64 size, char word[64]);

#endif
