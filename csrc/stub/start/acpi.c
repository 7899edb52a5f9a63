// SPDX-License-Identifier: Apache-2.0
/*
 * The ACPI tables that Linux sees: hardware-reduced, this processor alone, no
 * IOAPIC, no timer but the local APIC's, no device but the serial ports that are there.
 * Linux then leaves PIT, HPET, 8259, IOAPIC and the other processors as the
 * firmware has them (ACPI 6.5, 5.2).
 */
#include <common/spcr.h>
#include <stub/gate/hardware.h>
#include <stub/lib/io.h>
#include <stub/lib/string.h>
#include <stub/start/acpi.h>

struct acpi_header {
	char signature[4];
	u32 length;
	u8 revision;
	u8 checksum;
	char oem_id[6];
	char oem_table_id[8];
	u32 oem_revision;
	char creator_id[4];
	u32 creator_revision;
};
_Static_assert(sizeof(struct acpi_header) == 36, "ACPI 6.5, 5.2.6");

struct acpi_rsdp {
	char signature[8];
	u8 checksum;
	char oem_id[6];
	u8 revision;
	u32 rsdt;
	u32 length;
	u32 xsdt[2];	/* 64 bits, 4-byte aligned */
	u8 extended_checksum;
	u8 reserved[3];
};
_Static_assert(sizeof(struct acpi_rsdp) == 36, "ACPI 6.5, 5.2.5.3");

/* Offsets of the FADT's fields that are not zero (5.2.9). */
enum fadt {
	FADT_SIZE		= 276,
	FADT_DSDT		= 40,
	FADT_SCI_INT		= 46,
	FADT_P_LVL2_LAT		= 96,
	FADT_P_LVL3_LAT		= 98,
	FADT_IAPC_BOOT_ARCH	= 109,
	FADT_FLAGS		= 112,
	FADT_MINOR_VERSION	= 131,
	FADT_X_DSDT		= 140,

	FADT_REVISION		= 6,
	FADT_MINOR		= 3,
	SCI			= 9,
	C_STATE_UNSUPPORTED	= 1000,
	BOOT_ARCH_NO_VGA	= 1 << 2,
	BOOT_ARCH_NO_MSI	= 1 << 3,
	BOOT_ARCH_NO_ASPM	= 1 << 4,
	BOOT_ARCH_NO_CMOS_RTC	= 1 << 5,
	FLAG_NO_POWER_BUTTON	= 1 << 4,
	FLAG_NO_SLEEP_BUTTON	= 1 << 5,
	FLAG_HW_REDUCED		= 1 << 20,
};

enum madt {
	MADT_LOCAL_APIC		= 0,
	MADT_LOCAL_X2APIC	= 9,
	MADT_ENABLED		= 1,
	LOCAL_APIC_ID_MAX	= 254,	/* beyond: an x2APIC entry (5.2.12.12) */
};

enum {
	UART_LSR	= 5,	/* reads all ones where there is no port */
	/* What differs in the description of a port below. */
	PORT_DIGIT	= 13,
	PORT_MIN	= 35,
	PORT_MAX	= 37,
};

static struct acpi_rsdp rsdp __attribute__((aligned(16)));
static struct {
	struct acpi_header header;
	u32 tables[2][2];
} xsdt __attribute__((aligned(16)));
static struct {
	struct acpi_header header;
	u32 local_apic_address;
	u32 flags;	/* PCAT_COMPAT clear: no 8259 */
	u8 entry[16];
} madt __attribute__((aligned(16)));
static u8 fadt[FADT_SIZE] __attribute__((aligned(16)));
/*
 * Scope (\_SB) { Device (COM1) { Name (_HID, EisaId ("PNP0501"))
 *	Name (_CRS, ResourceTemplate () { IO (Decode16, 0x3F8, 0x3F8, 1, 8) }) } }
 *
 * Without an interrupt, so that Linux polls: the firmware keeps all legacy lines.
 * Setting irq 0 by TIOCSSERIAL is no way, since lockdown forbids it.
 */
static const u8 serial_port[] = {
	0x10, 0x2a, 0x5c, 0x5f, 0x53, 0x42, 0x5f, 0x5b, 0x82, 0x22, 0x43, 0x4f, 0x4d, 0x31, 0x08,
	0x5f, 0x48, 0x49, 0x44, 0x0c, 0x41, 0xd0, 0x05, 0x01, 0x08, 0x5f, 0x43, 0x52, 0x53, 0x11,
	0x0d, 0x0a, 0x0a, 0x47, 0x01, 0xf8, 0x03, 0xf8, 0x03, 0x01, 0x08, 0x79, 0x00,
};
/* Always there, even when empty: without a DSDT Linux' table loader runs off its array. */
static struct {
	struct acpi_header header;
	u8 aml[PK_NR_SERIAL_PORTS * sizeof(serial_port)];
} dsdt __attribute__((aligned(16)));

static u8 sum(const void *table, u64 size)
{
	const u8 *bytes = table;
	u8 total = 0;

	while (size--)
		total = (u8)(total + *bytes++);
	return total;
}

static void begin(struct acpi_header *header, const char *signature, u32 length, u8 revision)
{
	*header = (struct acpi_header){
		.length = length,
		.revision = revision,
		.oem_revision = 1,
		.creator_revision = 1,
	};
	memcpy(header->signature, signature, 4);
	memcpy(header->oem_id, "PYKEXC", 6);
	memcpy(header->oem_table_id, "PYKEXEC ", 8);
	memcpy(header->creator_id, "PYKX", 4);
}

static void end(struct acpi_header *header)
{
	header->checksum = (u8)-sum(header, header->length);
}

static void put16(u32 offset, u16 value)
{
	memcpy(fadt + offset, &value, sizeof(value));
}

static void put32(u32 offset, u32 value)
{
	memcpy(fadt + offset, &value, sizeof(value));
}

static void put_address(void *where, const void *table)
{
	u64 address = (u64)table;

	memcpy(where, &address, sizeof(address));
}

static void build_fadt(void)
{
	begin((void *)fadt, "FACP", FADT_SIZE, FADT_REVISION);
	/* The 32-bit field is enough below 4 GiB only; X_DSDT counts. */
	put32(FADT_DSDT, (u64)&dsdt >> 32 ? 0 : (u32)(u64)&dsdt);
	put16(FADT_SCI_INT, SCI);
	put16(FADT_P_LVL2_LAT, C_STATE_UNSUPPORTED);
	put16(FADT_P_LVL3_LAT, C_STATE_UNSUPPORTED);
	put16(FADT_IAPC_BOOT_ARCH, BOOT_ARCH_NO_VGA | BOOT_ARCH_NO_MSI | BOOT_ARCH_NO_ASPM | BOOT_ARCH_NO_CMOS_RTC);
	put32(FADT_FLAGS, FLAG_HW_REDUCED | FLAG_NO_POWER_BUTTON | FLAG_NO_SLEEP_BUTTON);
	fadt[FADT_MINOR_VERSION] = FADT_MINOR;
	put_address(fadt + FADT_X_DSDT, &dsdt);
	end((void *)fadt);
}

static void build_dsdt(void)
{
	u8 *aml = dsdt.aml;

	for (u32 i = 0; i < PK_NR_SERIAL_PORTS; i++) {
		if (pk_inb(pk_serial_ports[i] + UART_LSR) == 0xff)
			continue;
		memcpy(aml, serial_port, sizeof(serial_port));
		aml[PORT_DIGIT] = (u8)('1' + i);
		memcpy(aml + PORT_MIN, &pk_serial_ports[i], sizeof(u16));
		memcpy(aml + PORT_MAX, &pk_serial_ports[i], sizeof(u16));
		aml += sizeof(serial_port);
	}
	begin(&dsdt.header, "DSDT", (u32)(sizeof(dsdt.header) + (u64)(aml - dsdt.aml)), 2);
	end(&dsdt.header);
}

static void build_madt(void)
{
	u64 base = pk_rdmsr(PK_MSR_APIC_BASE);
	u32 id = pk_lapic_read(PK_LAPIC_ID);
	u32 length = sizeof(madt.header) + 8;

	if (!(base & PK_APIC_X2))
		id >>= 24;
	memset(madt.entry, 0, sizeof(madt.entry));
	if (id <= LOCAL_APIC_ID_MAX) {
		madt.entry[0] = MADT_LOCAL_APIC;
		madt.entry[1] = 8;
		madt.entry[3] = (u8)id;
		madt.entry[4] = MADT_ENABLED;
	} else {
		madt.entry[0] = MADT_LOCAL_X2APIC;
		madt.entry[1] = 16;
		memcpy(madt.entry + 4, &id, sizeof(id));
		madt.entry[8] = MADT_ENABLED;
	}
	begin(&madt.header, "APIC", length + madt.entry[1], 4);
	madt.local_apic_address = (u32)(base & ~0xfffULL);
	madt.flags = 0;
	end(&madt.header);
}

void *pk_acpi_rsdp(void)
{
	build_dsdt();
	build_fadt();
	build_madt();

	begin(&xsdt.header, "XSDT", sizeof(xsdt), 1);
	put_address(xsdt.tables[0], fadt);
	put_address(xsdt.tables[1], &madt);
	end(&xsdt.header);

	rsdp = (struct acpi_rsdp){ .revision = 2, .length = sizeof(rsdp) };
	memcpy(rsdp.signature, "RSD PTR ", 8);
	memcpy(rsdp.oem_id, "PYKEXC", 6);
	put_address(rsdp.xsdt, &xsdt);
	rsdp.checksum = (u8)-sum(&rsdp, 20);
	rsdp.extended_checksum = (u8)-sum(&rsdp, sizeof(rsdp));
	return &rsdp;
}
