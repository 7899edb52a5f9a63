/* SPDX-License-Identifier: Apache-2.0 */
/* The firmware's console, part of abi.h: its keys, its text, dots on its screen. */
#ifndef PYKEXEC_CONSOLE_H
#define PYKEXEC_CONSOLE_H

#include <pykexec/abi.h>

enum pk_console_flags {
	PK_CONSOLE_KEYS		= 1,	/* there is ConIn */
	PK_CONSOLE_MODIFIERS	= 2,	/* and it tells which modifiers are held */
	PK_CONSOLE_TEXT		= 4,	/* there is ConOut */
	PK_CONSOLE_SCREEN	= 8,	/* there is a screen to draw on */
};

enum pk_console_limits {
	PK_KEYS_MAX		= 64,	/* keys in one answer */
	PK_KEYS_WAIT_MAX_MS	= 1000,
	PK_BITMAP_MAX		= 256,	/* dots of a bitmap each way */
	PK_BITMAP_SCALE_MAX	= 64,	/* pixels of a dot each way */
};

struct pk_console_info {
	u32 flags;		/* enum pk_console_flags */
	u32 columns;		/* of text, in the mode that is set */
	u32 rows;
	u32 cursor_column;
	u32 cursor_row;
	u32 width;		/* pixels of the screen, 0 without one */
	u32 height;
	u32 reserved;
};
PK_ABI_ASSERT(pk_console_info, 32)

struct pk_keys_request {
	u32 wait_ms;	/* for a key, the firmware's timers running; at most PK_KEYS_WAIT_MAX_MS */
	u32 reserved;
};
PK_ABI_ASSERT(pk_keys_request, 8)

/* One of as many as are in the answer (UEFI 2.10, 12.2.3). */
struct pk_key {
	u16 scan_code;
	u16 character;	/* UCS-2, 0 if it has none */
	u32 modifiers;	/* EFI_KEY_STATE.KeyShiftState; 0 where nobody knows */
};
PK_ABI_ASSERT(pk_key, 8)

enum pk_text_flags {
	PK_TEXT_CLEAR		= 1,	/* first; the cursor goes home */
	PK_TEXT_PLACE		= 2,	/* the cursor goes to column, row */
	PK_TEXT_COLOUR		= 4,	/* attribute is for this text and all after it */
	PK_TEXT_CURSOR_SHOWN	= 8,
	PK_TEXT_CURSOR_HIDDEN	= 16,
};

/* In the order of the flags; then the text, UCS-2 and terminated, to the end of the record: there may be none. */
struct pk_text_request {
	u32 flags;	/* enum pk_text_flags */
	u16 column;
	u16 row;
	u32 attribute;	/* EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL.SetAttribute() */
	u32 reserved;
};
PK_ABI_ASSERT(pk_text_request, 16)

/* Dots in two colours, 0xrrggbb. Behind it the rows, (width + 7) / 8 bytes each, the highest bit leftmost. */
struct pk_bitmap_request {
	u32 x;		/* of the left upper corner, pixels */
	u32 y;
	u32 width;	/* dots */
	u32 height;
	u32 scale;	/* pixels of a dot, each way */
	u32 foreground;	/* of ones */
	u32 background;
	u32 reserved;
};
PK_ABI_ASSERT(pk_bitmap_request, 32)

#endif
