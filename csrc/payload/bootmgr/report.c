// SPDX-License-Identifier: Apache-2.0
/* What is found, on the first serial port. */
#include <payload/bootmgr/bootmgr.h>
#include <stub/lib/io.h>

enum {
	COM1			= 0x3f8,
	LINE_STATUS		= COM1 + 5,
	TRANSMITTER_EMPTY	= 0x20,
};

static u32 current;

static void put(const char *text)
{
	for (; *text; text++) {
		while (!(pk_inb(LINE_STATUS) & TRANSMITTER_EMPTY))
			;
		pk_outb(COM1, (u8)*text);
	}
}

/* Hexadecimal, at least so many digits. */
static void put_number(u64 value, u32 digits)
{
	char text[17];
	u32 n = sizeof(text) - 1;

	text[n] = 0;
	do {
		text[--n] = "0123456789abcdef"[value % 16];
		value /= 16;
	} while (n && (value || sizeof(text) - 1 - n < digits));
	put(text + n);
}

void wbm_begin(u32 step)
{
	current = step;
}

static void put_head(const char *component)
{
	put(component);
	/* Decimal, as the steps are called. */
	put_number(current / 10, 1);
	put_number(current % 10, 1);
	put(":");
}

efi_status_t wbm_end(efi_status_t status)
{
	put_head("PK:wbm:");
	put("0x");
	put_number(status, 0);
	put("\r\n");
	return status;
}

void wbm_report(const char *name, bool places, const u64 *values, u32 nr_values)
{
	put_head("WBM:");
	put(name);
	for (u32 i = 0; i < nr_values; i++) {
		put(places ? ":@" : ":");
		put_number(values[i], 0);
	}
	put("\r\n");
}

void wbm_report_bytes(const char *name, const void *data, u64 size)
{
	const u8 *bytes = data;

	put_head("WBM:");
	put(name);
	put(":");
	for (u64 i = 0; i < size; i++)
		put_number(bytes[i], 2);
	put("\r\n");
}

efi_status_t wbm_failed(const char *what, efi_status_t status)
{
	put_head("WBM:");
	put("failed:");
	put_number(status, 0);
	put(":");
	put(what);
	put("\r\n");
	return status;
}
