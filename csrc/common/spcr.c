// SPDX-License-Identifier: Apache-2.0
/* Serial Port Console Redirection Table (Microsoft, revision 4). */
#include <common/acpi.h>
#include <common/mem.h>
#include <common/spcr.h>

enum {
	INTERFACE		= 36,
	BASE			= 40,	/* a generic address structure (ACPI 6.5, 5.2.3.2) */
	BASE_SPACE		= BASE,
	BASE_BIT_WIDTH		= BASE + 1,
	BASE_ACCESS_SIZE	= BASE + 3,
	BASE_ADDRESS		= BASE + 4,
	BAUD			= 58,
	SIZE_MIN		= 80,

	/* Of table 2 in the DBG2 specification. */
	INTERFACE_16550		= 0,
	INTERFACE_16450		= 1,
	INTERFACE_16550_GAS	= 18,

	SPACE_MEMORY		= 0,
	SPACE_IO		= 1,
	ACCESS_WORD		= 2,
	ACCESS_DWORD		= 3,
	IO_MAX			= 0xfff8,
	PC_BAUD			= 115200,
};

struct word {
	char *text;
	u32 size;
};

static void put(struct word *word, const char *text)
{
	while (*text && word->size < PK_SPCR_WORD_MAX - 1)
		word->text[word->size++] = *text++;
	word->text[word->size] = 0;
}

static void put_number(struct word *word, u64 value, u32 base)
{
	char digits[24];
	u32 n = sizeof(digits) - 1;

	digits[n] = 0;
	do {
		digits[--n] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	put(word, digits + n);
}

static bool is_sound(const u8 *table, u64 size)
{
	u32 length;

	if (size < SIZE_MIN || memcmp(table, "SPCR", 4))
		return false;
	length = pk_acpi_table_size(table);
	return length >= SIZE_MIN && length <= size && pk_acpi_table_is_sound(table, length);
}

/* 0: as the firmware has set it. */
static u32 baud_of(u8 code)
{
	switch (code) {
	case 3: return 9600;
	case 4: return 19200;
	case 6: return 57600;
	case 7: return 115200;
	default: return 0;
	}
}

const u16 pk_serial_ports[4] = { 0x3f8, 0x2f8, 0x3e8, 0x2e8 };

/* The number that Linux gives the port, that of all for none. */
static u32 pc_port(u64 address)
{
	u32 n = 0;

	while (n < PK_NR_SERIAL_PORTS && pk_serial_ports[n] != address)
		n++;
	return n;
}

static const char *memory_width(const u8 *table)
{
	if (table[BASE_ACCESS_SIZE] == ACCESS_DWORD || (!table[BASE_ACCESS_SIZE] && table[BASE_BIT_WIDTH] == 32))
		return "mmio32,0x";
	return table[BASE_ACCESS_SIZE] == ACCESS_WORD ? "mmio16,0x" : "mmio,0x";
}

bool pk_spcr_console(const void *data, u64 size, char text[64])
{
	struct word word = { text, 0 };
	const u8 *table = data;
	u64 address;
	u32 baud;

	if (!is_sound(table, size))
		return false;
	if (table[INTERFACE] != INTERFACE_16550 && table[INTERFACE] != INTERFACE_16450 &&
	    table[INTERFACE] != INTERFACE_16550_GAS)
		return false;
	memcpy(&address, table + BASE_ADDRESS, sizeof(address));
	if (!address || table[BASE_SPACE] > SPACE_IO || (table[BASE_SPACE] == SPACE_IO && address > IO_MAX))
		return false;

	baud = baud_of(table[BAUD]);
	if (table[BASE_SPACE] == SPACE_IO && pc_port(address) < PK_NR_SERIAL_PORTS) {
		put(&word, "console=ttyS");
		put_number(&word, pc_port(address), 10);
		/* Without a rate Linux takes 9600. */
		if (!baud)
			baud = PC_BAUD;
	} else {
		put(&word, "console=uart8250,");
		put(&word, table[BASE_SPACE] == SPACE_IO ? "io,0x" : memory_width(table));
		put_number(&word, address, 16);
	}
	if (baud) {
		put(&word, ",");
		put_number(&word, baud, 10);
	}
	return true;
}
