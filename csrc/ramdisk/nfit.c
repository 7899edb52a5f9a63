// SPDX-License-Identifier: Apache-2.0
/*
 * The NFIT (ACPI 6.5, 5.2.25): how an operating system learns of disks in reserved
 * memory. Linux' nfit driver, for one, also wants the device that NFITs belong to.
 */
#include "ramdisk.h"

enum {
	DISKS_MAX	= 64,
	MAP_SLACK	= 16,	/* descriptors that may come while memory for the map is taken */
	SPA_RANGE	= 0,
	NOT_FOR_HOT_ADD	= 0,
};

struct acpi_header {
	u8 signature[4];
	u32 length;
	u8 revision;
	u8 checksum;
	u8 oem_id[6];
	u8 oem_table_id[8];
	u32 oem_revision;
	u8 creator_id[4];
	u32 creator_revision;
};
_Static_assert(sizeof(struct acpi_header) == 36, "ACPI 6.5, 5.2.6");

struct acpi_rsdp {
	u8 signature[8];
	u8 checksum;
	u8 oem_id[6];
	u8 revision;
	u32 rsdt;
	u32 length;
	u64 xsdt;
};
_Static_assert(offsetof(struct acpi_rsdp, xsdt) == 24, "ACPI 6.5, 5.2.5.3");

/* System Physical Address Range Structure, 5.2.25.2, as long as ACPI 6.0 to 6.3 have it. */
struct spa_range {
	u16 type;
	u16 length;
	u16 index;	/* from 1 */
	u16 flags;
	u32 reserved;
	u32 proximity_domain;
	efi_guid_t range_type;
	u64 start;
	u64 size;
	u64 mapping_attribute;
};
_Static_assert(sizeof(struct spa_range) == 56, "ACPI 6.0, 5.2.25.1");

static struct {
	struct acpi_header header;
	u32 reserved;
	u8 ranges[DISKS_MAX * sizeof(struct spa_range)];	/* 40 bytes in: 8-byte aligned */
} nfit;

/* Scope (\_SB) { Device (NVDR) { Name (_HID, "ACPI0012") Name (_STA, 0x0F) } }, 9.19.2 */
static const u8 root_device[] = {
	0x10, 0x23, '\\', '_', 'S', 'B', '_',
	0x5b, 0x82, 0x1b, 'N', 'V', 'D', 'R',
	0x08, '_', 'H', 'I', 'D', 0x0d, 'A', 'C', 'P', 'I', '0', '0', '1', '2', 0,
	0x08, '_', 'S', 'T', 'A', 0x0a, 0x0f,
};

static struct {
	struct acpi_header header;
	u8 body[sizeof(root_device)];
} ssdt;

static u64 nfit_key, ssdt_key;
static bool nfit_there, ssdt_there;

static struct acpi_header header(const char *signature, u8 revision, u64 length)
{
	struct acpi_header ret = {
		.length = (u32)length,
		.revision = revision,
		.oem_id = { 'P', 'Y', 'K', 'E', 'X', 'C' },
		.oem_table_id = { 'R', 'A', 'M', 'D', 'I', 'S', 'K' },
		.oem_revision = 1,
		.creator_id = { 'P', 'Y', 'K', 'X' },
		.creator_revision = 1,
	};

	memcpy(ret.signature, signature, sizeof(ret.signature));
	return ret;
}

static void seal(struct acpi_header *table)
{
	u8 sum = 0;

	table->checksum = 0;
	for (u32 i = 0; i < table->length; i++)
		sum += ((const u8 *)table)[i];
	table->checksum = -sum;
}

/* Does the disk lie in reserved memory? *ret is written on success. */
static efi_status_t is_reserved(const struct disk *disk, bool *ret)
{
	u64 size = 0, key, step;
	efi_status_t status;
	u32 version;
	u8 *map;

	status = bs->get_memory_map(&size, NULL, &key, &step, &version);
	if (status != EFI_BUFFER_TOO_SMALL)
		return EFI_DEVICE_ERROR;
	size += MAP_SLACK * step;
	status = bs->allocate_pool(EFI_BOOT_SERVICES_DATA, size, (void **)&map);
	if (EFI_ERROR(status))
		return status;
	status = bs->get_memory_map(&size, map, &key, &step, &version);
	if (!EFI_ERROR(status)) {
		*ret = false;
		for (u64 at = 0; at < size; at += step) {
			const struct efi_memory_descriptor *d = (const void *)(map + at);

			if (d->type == EFI_RESERVED_MEMORY_TYPE && disk->start >= d->physical_start &&
			    disk->start - d->physical_start < d->number_of_pages << 12)
				*ret = true;
		}
	}
	bs->free_pool(map);
	return status;
}

static void withdraw_tables(struct efi_acpi_table *acpi)
{
	if (nfit_there)
		acpi->uninstall(acpi, nfit_key);
	if (ssdt_there)
		acpi->uninstall(acpi, ssdt_key);
	nfit_there = ssdt_there = false;
}

/* Somebody else's, for memory modules that are there: an operating system reads one NFIT only. */
static bool foreign_nfit(void)
{
	const struct acpi_header *xsdt = NULL;
	u64 entry;

	for (u64 i = 0; i < st->nr_tables; i++)
		if (!memcmp(&st->tables[i].vendor_guid, &efi_guid_acpi20_table, sizeof(efi_guid_t)))
			xsdt = (const void *)((const struct acpi_rsdp *)st->tables[i].vendor_table)->xsdt;
	if (!xsdt)
		return false;
	for (u64 at = sizeof(*xsdt); at + sizeof(entry) <= xsdt->length; at += sizeof(entry)) {
		memcpy(&entry, (const u8 *)xsdt + at, sizeof(entry));
		if (entry && !memcmp((const void *)entry, "NFIT", 4))
			return true;
	}
	return false;
}

static void add_range(u16 index, const struct disk *disk)
{
	struct spa_range range = {
		.type = SPA_RANGE,
		.length = sizeof(range),
		.index = index,
		.flags = NOT_FOR_HOT_ADD,
		.range_type = disk->type,
		.start = disk->start,
		.size = disk->size,
		.mapping_attribute = EFI_MEMORY_WB,
	};

	memcpy(nfit.ranges + (index - 1) * sizeof(range), &range, sizeof(range));
}

/* Tables that say what is published now; extra is about to join. */
static efi_status_t install_tables(struct efi_acpi_table *acpi, const struct disk *extra)
{
	efi_status_t status;
	u16 n = 0;

	withdraw_tables(acpi);
	if (foreign_nfit())
		return EFI_UNSUPPORTED;
	for (const struct disk *disk = disks; disk && n < DISKS_MAX; disk = disk->next)
		if (disk->published)
			add_range(++n, disk);
	if (extra && n == DISKS_MAX)
		return EFI_OUT_OF_RESOURCES;
	if (extra)
		add_range(++n, extra);
	if (!n)
		return EFI_SUCCESS;
	nfit.header = header("NFIT", 1, offsetof(typeof(nfit), ranges) + n * sizeof(struct spa_range));
	seal(&nfit.header);
	status = acpi->install(acpi, &nfit, nfit.header.length, &nfit_key);
	nfit_there = !EFI_ERROR(status);
	if (EFI_ERROR(status))
		return status;
	ssdt.header = header("SSDT", 2, sizeof(ssdt));
	memcpy(ssdt.body, root_device, sizeof(root_device));
	seal(&ssdt.header);
	status = acpi->install(acpi, &ssdt, sizeof(ssdt), &ssdt_key);
	ssdt_there = !EFI_ERROR(status);
	return status;
}

efi_status_t nfit_publish(struct disk *disk)
{
	struct efi_acpi_table *acpi;
	efi_status_t status;
	bool reserved;

	status = is_reserved(disk, &reserved);
	if (EFI_ERROR(status) || !reserved)
		return status;
	/* A disk that nobody hears of would be a promise broken in silence. */
	if (EFI_ERROR(bs->locate_protocol(&efi_guid_acpi_table, NULL, (void **)&acpi)))
		return EFI_UNSUPPORTED;
	status = install_tables(acpi, disk);
	disk->published = !EFI_ERROR(status);
	if (EFI_ERROR(status))
		install_tables(acpi, NULL);
	return status;
}

void nfit_withdraw(struct disk *disk)
{
	struct efi_acpi_table *acpi;

	if (!disk->published || EFI_ERROR(bs->locate_protocol(&efi_guid_acpi_table, NULL, (void **)&acpi)))
		return;
	disk->published = false;
	install_tables(acpi, NULL);
}
