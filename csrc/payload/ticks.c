// SPDX-License-Identifier: Apache-2.0
/*
 * Stands in for a firmware with another timer than OVMF's, which ticks by the local APIC's periodic
 * one. Options: some words, then the path of an image on the same volume that is started so:
 * hpet-msi, hpet-ioapic	one-shot, and the handler alone sets the next, as EDK II's HpetTimerDxe
 * lapic-one-shot		likewise
 * none				no ticks at all
 * hidden			after one of them: and there is no protocol to stop it by
 * tco				before one of them: the chipset's watchdog is armed, and each tick pats it
 * bmc				likewise the BMC's, by KCS, which nobody pats
 * When the image returns OVMF has its tick back. EDK II's core gives what it wants to have called to
 * each timer whose protocol is installed.
 */
#include <common/device_path.h>
#include <efi/architectural.h>
#include <efi/guids.h>
#include <efi/protocols.h>
#include <payload/console.h>
#include <stub/gate/hardware.h>
#include <stub/lib/io.h>

enum {
	VECTOR = 0x41,
	APIC_ID = 0,
	MSI_ADDRESS = 0xfee00000,
	HPET = 0xfed00000,
	HPET_FEMTOSECONDS = 0x004,
	HPET_CONFIG = 0x010,
	HPET_COUNTER = 0x0f0,
	TIMER_CONFIG = 0x100,		/* of the first one; routes in the upper half */
	TIMER_COMPARATOR = 0x108,
	TIMER_MSI_DATA = 0x110,
	TIMER_MSI_ADDRESS = 0x114,
	TIMER_ENABLE = 1 << 2 | 1 << 8,	/* compared by 32 bits */
	TIMER_ROUTE = 9,
	TIMER_MSI = 1 << 14,
	LPC = 31 << 3,
	LPC_PMBASE = 0x40,
	LPC_RCBA = 0xf0,
	RCBA_GCS = 0x3410,
	GCS_NO_REBOOT = 0x20,
	TCO_OF_PMBASE = 0x60,
	TCO_RELOAD = 0x00,
	TCO_CONTROL = 0x08,
	TCO_TIMER = 0x12,
	TCO_PERIODS = 8,		/* of 0.6 s, twice */
	KCS_DATA = 0xca2,
	KCS_STATUS = 0xca3,
	KCS_OUTPUT_FULL = 1,
	KCS_INPUT_FULL = 2,
	KCS_STATE = 0xc0,
	KCS_STATE_READ = 0x40,
	KCS_WRITE_START = 0x61,
	KCS_WRITE_END = 0x62,
	KCS_READ_NEXT = 0x68,
	FIRST_PIN = 8,			/* below are those of the PC that are in use */
	NR_PINS = 24,
	FEMTOSECONDS_IN_100NS = 100000000,
	PATH_MAX = 4096,
};

static struct efi_system_table *st;
static struct efi_timer_arch *ovmf;
static void (EFIAPI *core)(u64 elapsed);
static u64 period, count;
static volatile u32 comparator;
static bool by_msi, by_hpet;
static u32 pin;
static u16 tco;				/* 0: not armed */

static u32 lapic(u32 offset) { return pk_mmio_read(PK_LAPIC_BASE + offset); }
static void lapic_set(u32 offset, u32 value) { pk_mmio_write(PK_LAPIC_BASE + offset, value); }
static u32 hpet(u32 offset) { return pk_mmio_read(HPET + offset); }
static void hpet_set(u32 offset, u32 value) { pk_mmio_write(HPET + offset, value); }

static void route(u32 low)
{
	pk_mmio_write(PK_IOAPIC_BASE, PK_IOAPIC_RTE + 2 * pin + 1);
	pk_mmio_write(PK_IOAPIC_BASE + 0x10, APIC_ID << 24);
	pk_mmio_write(PK_IOAPIC_BASE, PK_IOAPIC_RTE + 2 * pin);
	pk_mmio_write(PK_IOAPIC_BASE + 0x10, low);
}

/* The tick after this one. */
static void arm(void)
{
	if (!by_hpet) {
		lapic_set(PK_LAPIC_TIMER_INITIAL, (u32)count);
		return;
	}
	comparator = hpet(HPET_COUNTER) + (u32)count;
	hpet_set(TIMER_COMPARATOR, comparator);
}

static void EFIAPI handler(u64 vector, void *context)
{
	efi_tpl_t tpl = st->boot->raise_tpl(EFI_TPL_HIGH_LEVEL);

	(void)vector;
	(void)context;
	arm();
	if (tco)
		pk_outw(tco + TCO_RELOAD, 1);
	if (core)
		core(period);
	st->boot->restore_tpl(tpl);
	pk_interrupts_off();
	lapic_set(PK_LAPIC_EOI, 0);
}

static void stop(void)
{
	u32 due = comparator;

	if (!by_hpet) {
		lapic_set(PK_LAPIC_LVT_TIMER, VECTOR | PK_LVT_MASKED);
		lapic_set(PK_LAPIC_TIMER_INITIAL, 0);
		return;
	}
	/* As EDK II does: a tick that is due is waited for, and only the handler has it done. */
	while (period && hpet(HPET_COUNTER) - due < 1u << 31 && comparator == due)
		;
	hpet_set(TIMER_CONFIG, 0);
	if (!by_msi)
		route(VECTOR | PK_RTE_MASKED);
}

static void start(void)
{
	if (!by_hpet) {
		lapic_set(PK_LAPIC_LVT_TIMER, VECTOR);
	} else if (by_msi) {
		hpet_set(TIMER_MSI_ADDRESS, MSI_ADDRESS | APIC_ID << 12);
		hpet_set(TIMER_MSI_DATA, VECTOR);
		hpet_set(TIMER_CONFIG, TIMER_ENABLE | TIMER_MSI);
	} else {
		route(VECTOR);
		hpet_set(TIMER_CONFIG, TIMER_ENABLE | pin << TIMER_ROUTE);
	}
	arm();
}

static EFIAPI efi_status_t set_timer_period(struct efi_timer_arch *this, u64 new)
{
	(void)this;
	if (new)
		count = by_hpet ? new * FEMTOSECONDS_IN_100NS / hpet(HPET_FEMTOSECONDS) : count;
	if (new)
		start();
	else
		stop();
	period = new;
	return EFI_SUCCESS;
}

static EFIAPI efi_status_t get_timer_period(struct efi_timer_arch *this, u64 *ret)
{
	(void)this;
	*ret = period;
	return EFI_SUCCESS;
}

static EFIAPI efi_status_t register_handler(struct efi_timer_arch *this, void (EFIAPI *new)(u64 elapsed))
{
	(void)this;
	core = new;
	return EFI_SUCCESS;
}

static struct efi_timer_arch ours = { register_handler, set_timer_period, get_timer_period, NULL };

/* The next word of *options is this one, and is passed over. */
static bool word(const u16 **options, const char *name)
{
	const u16 *at = *options;

	while (*name && *at == (u8)*name)
		at++, name++;
	if (*name || *at != ' ')
		return false;
	*options = at + 1;
	return true;
}

static u32 of_lpc(u32 offset)
{
	pk_outl(0xcf8, 0x80000000 | LPC << 8 | offset);
	return pk_inl(0xcfc);
}

static void arm_tco(void)
{
	u32 gcs = (of_lpc(LPC_RCBA) & ~1u) + RCBA_GCS;

	tco = (of_lpc(LPC_PMBASE) & 0xff80) + TCO_OF_PMBASE;
	pk_mmio_write(gcs, pk_mmio_read(gcs) & ~(u32)GCS_NO_REBOOT);
	pk_outw(tco + TCO_TIMER, TCO_PERIODS);
	pk_outw(tco + TCO_CONTROL, 0);
	pk_outw(tco + TCO_RELOAD, 1);
}

/* The BMC takes each byte at once. */
static void kcs_put(u16 port, u8 value)
{
	pk_outb(port, value);
	while (pk_inb(KCS_STATUS) & KCS_INPUT_FULL)
		;
}

/* A command of it, whose answer is of no interest. */
static void kcs_ask(const u8 *bytes, u32 size)
{
	kcs_put(KCS_STATUS, KCS_WRITE_START);
	for (u32 i = 0; i < size; i++) {
		if (i == size - 1)
			kcs_put(KCS_STATUS, KCS_WRITE_END);
		kcs_put(KCS_DATA, bytes[i]);
	}
	while ((pk_inb(KCS_STATUS) & KCS_STATE) == KCS_STATE_READ) {
		pk_inb(KCS_DATA);
		kcs_put(KCS_DATA, KCS_READ_NEXT);
	}
	while (pk_inb(KCS_STATUS) & KCS_OUTPUT_FULL)
		pk_inb(KCS_DATA);
}

/*
 * Set Watchdog Timer: OS load, hard reset after 40 s; Reset Watchdog Timer (IPMI 2.0, 27.5 and 27.6).
 * QEMU's BMC tells of the one bit that it runs which was set here.
 */
static void arm_bmc(void)
{
	static const u8 set[] = { 0x18, 0x24, 0x43, 0x01, 0x00, 0x00, 0x90, 0x01 }, start[] = { 0x18, 0x22 };

	kcs_ask(set, sizeof(set));
	kcs_ask(start, sizeof(start));
}

/* OVMF has stopped its own. */
static efi_status_t take(const u16 **options, u64 of_ovmf)
{
	struct efi_cpu_arch *cpu;
	efi_status_t status;

	if (word(options, "tco"))
		arm_tco();
	if (word(options, "bmc"))
		arm_bmc();
	count = lapic(PK_LAPIC_TIMER_INITIAL);
	if (word(options, "none"))
		return EFI_SUCCESS;
	by_msi = word(options, "hpet-msi");
	by_hpet = by_msi || word(options, "hpet-ioapic");
	if (!by_hpet && !word(options, "lapic-one-shot"))
		return EFI_INVALID_PARAMETER;
	if (by_hpet) {
		hpet_set(HPET_CONFIG, 1);
		for (pin = FIRST_PIN; pin < NR_PINS && !(hpet(TIMER_CONFIG + 4) & 1u << pin); pin++)
			;
	}
	status = st->boot->locate_protocol(&efi_guid_cpu_arch, NULL, (void **)&cpu);
	if (!EFI_ERROR(status))
		status = cpu->register_interrupt_handler(cpu, VECTOR, handler);
	return EFI_ERROR(status) ? status : set_timer_period(&ours, of_ovmf);
}

static efi_status_t start_image(efi_handle_t parent, const u16 *name)
{
	static u8 path[PATH_MAX] __attribute__((aligned(8)));
	struct efi_loaded_image *image;
	struct efi_device_path *volume;
	efi_handle_t handle;
	efi_status_t status;

	status = st->boot->handle_protocol(parent, &efi_guid_loaded_image, (void **)&image);
	if (!EFI_ERROR(status))
		status = st->boot->handle_protocol(image->device_handle, &efi_guid_device_path, (void **)&volume);
	if (EFI_ERROR(status))
		return status;
	if (!pk_device_path_append_file(volume, PATH_MAX, name, path, sizeof(path)))
		return EFI_INVALID_PARAMETER;
	status = st->boot->load_image(false, parent, path, NULL, 0, &handle);
	return EFI_ERROR(status) ? status : st->boot->start_image(handle, NULL, NULL);
}

EFIAPI efi_status_t efi_main(efi_handle_t image_handle, struct efi_system_table *system_table)
{
	const u16 *options;
	efi_handle_t *handles;
	u64 nr_handles, of_ovmf;
	efi_status_t status;
	bool hidden;

	st = system_table;
	pk_console_init(st);
	options = pk_options_of(image_handle);
	status = st->boot->locate_handle_buffer(EFI_BY_PROTOCOL, &efi_guid_timer_arch, NULL, &nr_handles, &handles);
	if (!EFI_ERROR(status))
		status = st->boot->handle_protocol(handles[0], &efi_guid_timer_arch, (void **)&ovmf);
	if (!EFI_ERROR(status))
		status = ovmf->get_timer_period(ovmf, &of_ovmf);
	if (!EFI_ERROR(status))
		status = st->boot->reinstall_protocol_interface(handles[0], &efi_guid_timer_arch, ovmf, &ours);
	if (!EFI_ERROR(status))
		status = ovmf->set_timer_period(ovmf, 0);
	if (!EFI_ERROR(status))
		status = take(&options, of_ovmf);
	if (EFI_ERROR(status))
		return status;
	hidden = word(&options, "hidden");
	if (hidden)
		status = st->boot->uninstall_protocol_interface(handles[0], &efi_guid_timer_arch, &ours);
	pk_put_line(u"PK:payload:timer:0x", status);
	if (!EFI_ERROR(status))
		status = start_image(image_handle, options);

	/* If it stands still nothing more is due. */
	period = 0;
	set_timer_period(&ours, 0);
	ovmf->set_timer_period(ovmf, of_ovmf);
	if (hidden)
		st->boot->install_protocol_interface(&handles[0], &efi_guid_timer_arch, EFI_NATIVE_INTERFACE, ovmf);
	else
		st->boot->reinstall_protocol_interface(handles[0], &efi_guid_timer_arch, &ours, ovmf);
	return status;
}
