// SPDX-License-Identifier: Apache-2.0
/*
 * The chipset's watchdog on a machine that is a program. Arguments: the chipset, and what the
 * firmware did with it. It is halted for Linux and put back for a full switch; prints each write.
 */
#include <stdio.h>
#include <string.h>

#include <stub/gate/hardware.h>
#include <stub/gate/tco.h>
#include <stub/lib/io.h>

enum { LPC = 0xf8, ICH_SMBUS = 0xfb, PCH_SMBUS = 0xfc, SMBUS = 0x0c050000, HALTED = 0x800, LOCKED = 0x1000 };

static bool is_ich, is_pch, is_off;
static u16 base, left, control;

u32 pk_pci_read(u32 bdf, u32 offset)
{
	if (!(bdf == LPC && is_ich) && !(bdf == ICH_SMBUS && is_ich) && !(bdf == PCH_SMBUS && is_pch))
		return ~0u;
	switch (offset) {
	case 0x00: return 0x12348086;
	case 0x08: return bdf == LPC ? 0x06010000 : SMBUS;
	case 0x40: return 0x601;
	case 0x44: return is_off ? 0 : 0x80;
	case 0x50: return 0x401;
	case 0x54: return is_off ? 0 : 0x100;
	default: return 0;
	}
}

u16 pk_inw(u16 port)
{
	if (port == base + 8)
		return control;
	return port == base ? left : 0xffff;
}

void pk_outw(u16 port, u16 value)
{
	printf("%x: %x\n", port, value);
	if (port == base + 8)
		control = control & LOCKED ? control : value;
}

int main(int argc, char **argv)
{
	const char *state = argc == 3 ? argv[2] : "";

	is_ich = argc == 3 && !strcmp(argv[1], "ich");
	is_pch = argc == 3 && !strcmp(argv[1], "pch");
	is_off = !strcmp(state, "off");
	base = is_ich ? 0x660 : 0x400;
	left = strcmp(state, "idle") ? 5 : 0;
	control = !strcmp(state, "halted") ? HALTED : !strcmp(state, "locked") ? LOCKED : 0;
	if (pk_tco_runs_on())
		printf("cannot be halted\n");
	pk_tco_halt();
	if (pk_tco_armed())
		pk_tco_run();
	return 0;
}
