// SPDX-License-Identifier: Apache-2.0
/*
 * Watchdogs on a machine whose registers are a program. Arguments: what the machine has (wdat,
 * wdrt, amd, kcs, spmi, ssif), and how it is: armed, idle, off, locked, dead, confused, absent,
 * unreachable; or damaged, ended: the table that names it. They are told of; Linux begins; two full
 * switches; Linux has ended. Prints each write to a chipset's, each command that the BMC has taken,
 * and what is said.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <common/ipmi.h>
#include <common/watchdog.h>
#include <stub/gate/bmc.h>
#include <stub/gate/hardware.h>
#include <stub/gate/register.h>
#include <stub/gate/tco.h>
#include <stub/gate/watchdog.h>
#include <stub/gate/wdat.h>
#include <stub/gate/wdrt.h>
#include <stub/lib/acpi_tables.h>
#include <stub/lib/io.h>
#include <stub/lib/stub.h>

enum {
	/* As QEMU's WDAT describes its TCO: bit 11 stops it, any write to another register is a reset. */
	WDAT_CONTROL = 0x608,
	WDAT_RELOAD = 0x600,
	STOPPED = 0x800,
	OTHER_BITS = 0x2a,
	WDRT_CONTROL = 0xfeb00000u,
	AMD_CONTROL = 0xfed80b00u,
	AMD_DECODE = 0xfed80300u,
	KCS_DATA = 0xca2,
	KCS_STATUS = 0xca6,
	TABLE_MAX = 512,
	KHZ = 1000,
};

struct pk_handoff pk_handoff = { .tsc_khz = KHZ };

static const char *has, *state;
static u8 table[TABLE_MAX], smbios[TABLE_MAX], entry[0x18];
static u32 table_size;
static u64 now;
static u32 control;

static bool is(const char *a, const char *b) { return !strcmp(a, b); }

u64 pk_rdtsc(void) { return now += KHZ; }

void pk_print(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	if (strstr(format, "%d"))
		printf("said: interface %d\n", (int)va_arg(arguments, u64));
	else
		printf("said: %s", format + strlen("pykexec: "));
	va_end(arguments);
}

/* ---- the BMC ---- */

enum { OBF = 1, IBF = 2, IDLE = 0, READ = 0x40, WRITE = 0x80, ERROR = 0xc0 };

static u8 phase, in[64], out[64], nr_in, nr_out, at_out, last_byte;
static bool is_last, is_full;
static u8 watchdog[8] = { 0x43, 0x01, 0, 0x04, 0x2c, 0x01, 0x10, 0x00 };

static void answer(void)
{
	u8 command = in[1];

	nr_out = 3;
	out[0] = (u8)(in[0] | 4);
	out[1] = is(state, "confused") ? 0 : command;
	out[2] = 0;
	if (command == PK_IPMI_GET_WATCHDOG) {
		memcpy(out + 3, watchdog, sizeof(watchdog));
		nr_out = 3 + sizeof(watchdog);
	} else if (command == PK_IPMI_SET_WATCHDOG && nr_in == 8 && !is(state, "locked")) {
		memcpy(watchdog, in + 2, 6);
		printf("set %02x %02x clearing %02x, countdown %d\n", in[2], in[3], in[5],
		       in[6] | in[7] << 8);
	} else if (command == PK_IPMI_RESET_WATCHDOG) {
		watchdog[0] |= PK_IPMI_WATCHDOG_RUNS;
		printf("reset\n");
	} else {
		out[2] = 0xc1;
	}
	phase = READ;
	at_out = 0;
}

/* A byte of the answer is to be had, or there is none left. */
static void offer(void)
{
	is_full = true;
	if (at_out < nr_out) {
		last_byte = out[at_out++];
	} else {
		last_byte = 0;
		phase = IDLE;
	}
}

static void kcs_write(bool is_command, u8 value)
{
	if (is_command && value == 0x61) {
		phase = WRITE;
		nr_in = 0;
		is_last = false;
	} else if (is_command && value == 0x62 && phase == WRITE) {
		is_last = true;
	} else if (!is_command && phase == WRITE && nr_in < sizeof(in)) {
		in[nr_in++] = value;
		if (is_last) {
			answer();
			offer();
		}
	} else if (!is_command && phase == READ && value == 0x68) {
		offer();
	} else {
		phase = ERROR;
	}
}

static u8 kcs_read(bool is_status)
{
	if (is(state, "absent"))
		return 0xff;
	if (is_status)
		return (u8)(phase | (is_full ? OBF : 0) | (is(state, "dead") ? IBF : 0));
	is_full = false;
	return last_byte;
}

/* ---- registers ---- */

bool pk_register_is_there(const struct pk_acpi_address *where)
{
	return !is(state, "unreachable") && (where->space == PK_ACPI_IO || !is(state, "absent"));
}

u32 pk_register_read(const struct pk_acpi_address *where)
{
	if (where->address == AMD_DECODE)
		return is(state, "off") ? 0 : 0x80;
	if (where->address == KCS_DATA || where->address == KCS_STATUS)
		return kcs_read(where->address == KCS_STATUS);
	return control;
}

void pk_register_write(const struct pk_acpi_address *where, u32 value)
{
	if (where->address == KCS_DATA || where->address == KCS_STATUS) {
		kcs_write(where->address == KCS_STATUS, (u8)value);
		return;
	}
	printf("%llx: %x\n", (unsigned long long)where->address, value);
	if (where->address != WDAT_RELOAD && !is(state, "locked"))
		control = value & ~0x80u;
}

u32 pk_pci_read(u32 bdf, u32 offset)
{
	if (!is(has, "amd") || bdf != 0xa0)
		return ~0u;
	return offset ? 0x0c050051 : 0x790b1022;
}

/* ---- tables ---- */

static void put(u32 at, u64 value, u32 size) { memcpy(table + at, &value, size); }

static void end_table(const char *signature, u32 size)
{
	u8 sum = 0;

	memcpy(table, signature, 4);
	put(4, size, 4);
	for (u32 i = 0; i < size; i++)
		sum = (u8)(sum + table[i]);
	table[9] = (u8)((is(state, "damaged") ? 1 : 0) - sum);
	table_size = size;
}

static void put_address(u32 at, u8 space, u8 bits, u8 first, u8 access, u64 address)
{
	u8 bytes[] = { space, bits, first, access };

	memcpy(table + at, bytes, sizeof(bytes));
	put(at + 4, address, 8);
}

static void put_step(u32 n, u8 action, u8 instruction, u64 address, u8 first, u32 value, u32 mask)
{
	u32 at = 68 + 24 * n;

	table[at] = action;
	table[at + 1] = instruction;
	put_address(at + 4, PK_ACPI_IO, 16, first, 2, address);
	put(at + 16, value, 4);
	put(at + 20, mask, 4);
}

static void build_wdat(void)
{
	table[60] = !is(state, "off");
	put(64, 5, 4);
	put_step(0, PK_WDAT_RESET, PK_WDAT_WRITE_VALUE, WDAT_RELOAD, 0, 1, 0xffff);
	put_step(1, PK_WDAT_IS_RUNNING, PK_WDAT_READ_VALUE, WDAT_CONTROL, 11, 0, 1);
	put_step(2, PK_WDAT_RUN, PK_WDAT_WRITE_VALUE | 0x80, WDAT_CONTROL, 11, 0, 1);
	put_step(3, PK_WDAT_STOP, PK_WDAT_WRITE_VALUE | 0x80, WDAT_CONTROL, 11, 1, 1);
	put_step(4, 5, PK_WDAT_READ_COUNTDOWN, WDAT_RELOAD, 0, 0, 0x3ff);
	end_table("WDAT", 68 + 5 * 24);
	control = OTHER_BITS | (is(state, "idle") ? STOPPED : 0);
}

static void build_wdrt(void)
{
	put_address(36, PK_ACPI_MEMORY, 32, 0, 3, WDRT_CONTROL);
	end_table("WDRT", 71);
}

static void build_spmi(void)
{
	table[36] = PK_IPMI_KCS;
	put_address(48, PK_ACPI_IO, 32, 0, 0, KCS_DATA);
	end_table("SPMI", 64);
}

/* A BIOS structure with two strings, then the BMC's, at a port, its registers four bytes apart. */
static void build_smbios(u8 kind)
{
	u8 bios[] = { is(state, "ended") ? 127 : 0, 4, 0, 0, 'a', 0, 'b', 'c', 0, 0 };
	u8 device[0x12] = { 38, sizeof(device), 1, 0, kind, 0x20, 0, 0, (KCS_DATA & 0xff) | 1, KCS_DATA >> 8 };
	u8 sum = 0, size = sizeof(bios) + sizeof(device) + 2;
	u64 address = (u64)smbios;

	device[0x10] = 1 << 6;
	memcpy(smbios, bios, sizeof(bios));
	memcpy(smbios + sizeof(bios), device, sizeof(device));
	memcpy(entry, "_SM3_", 5);
	entry[6] = sizeof(entry);
	entry[0x0c] = size;
	memcpy(entry + 0x10, &address, sizeof(address));
	for (u32 i = 0; i < sizeof(entry); i++)
		sum = (u8)(sum + entry[i]);
	entry[5] = (u8)((is(state, "damaged") ? 1 : 0) - sum);
}

const void *pk_acpi_find(const char *signature, u32 n, u64 *ret_size)
{
	*ret_size = table_size;
	return table_size && !n && !memcmp(table, signature, 4) ? table : NULL;
}

const void *pk_configuration_table(const efi_guid_t *guid)
{
	return entry[0] && !memcmp(guid, &efi_guid_smbios3_table, sizeof(*guid)) ? entry : NULL;
}

/* There is no such chipset (tco.c). */
bool pk_tco_runs_on(void) { return false; }
void pk_tco_halt(void) {}
void pk_tco_run(void) {}

/* Any bytes are read within them: the sanitizer watches. */
static int spoil(void)
{
	struct pk_acpi_address place;
	struct pk_wdat_step step;
	struct pk_ipmi ipmi;
	u64 address, found;

	has = "";
	state = "armed";
	for (u32 round = 0; round < 200000; round++) {
		u32 size = (u32)rand() % 160;
		u8 *bytes = malloc(size ? size : 1);

		for (u32 i = 0; i < size; i++)
			bytes[i] = rand() % 4 ? (u8)(rand() % 5) : (u8)rand();
		if (size >= PK_ACPI_HEADER) {
			u8 sum = 0;

			memcpy(bytes + 4, &size, 4);
			for (u32 i = 0; i < size; i++)
				sum = (u8)(sum + bytes[i]);
			bytes[9] = (u8)(bytes[9] - sum);
		}
		pk_wdat_step(bytes, size, PK_WDAT_RESET, (u32)rand() % 3, &step);
		pk_wdrt_control(bytes, size, &place);
		pk_ipmi_of_spmi(bytes, size, &ipmi);
		if (pk_smbios_find(bytes, size, PK_SMBIOS_IPMI, &found))
			pk_ipmi_of_smbios(pk_smbios_find(bytes, size, PK_SMBIOS_IPMI, &found), found, &ipmi);
		free(bytes);
	}
	memcpy(entry, "_SM_", 4);
	return pk_smbios_table(entry, &address, &found);
}

int main(int argc, char **argv)
{
	u64 bmc = 0;

	if (argc != 3)
		return spoil();
	has = argv[1];
	state = argv[2];
	/* Of WDRT: bit 0 runs it, 1 says that it has fired, 2 is what it does, 3 disables it. */
	control = is(state, "idle") ? 4 : is(state, "off") && is(has, "wdrt") ? 15 : 7;
	if (is(has, "wdat"))
		build_wdat();
	else if (is(has, "wdrt"))
		build_wdrt();
	else if (is(has, "spmi"))
		build_spmi();
	else if (is(has, "kcs") || is(has, "ssif"))
		build_smbios(is(has, "kcs") ? PK_IPMI_KCS : 4);
	if (is(state, "idle"))
		watchdog[0] &= ~PK_IPMI_WATCHDOG_RUNS;

	pk_watchdogs_tell();
	if (pk_bmc_armed())
		bmc = pk_bmc_read(0, 0);
	printf("linux\n");
	pk_watchdogs_stop();
	for (u32 i = 0; i < 2; i++) {
		printf("switch\n");
		pk_watchdogs_run();
		pk_watchdogs_halt();
	}
	printf("end\n");
	if (pk_wdat_armed())
		pk_wdat_write(0, 0, 1);
	if (pk_wdrt_armed())
		pk_wdrt_write(0, 0, 5);
	if (pk_bmc_armed()) {
		pk_bmc_write(0, 0, bmc);
		printf("%s\n", pk_bmc_read(0, 0) == bmc ? "as it was" : "another");
	}
	return 0;
}
