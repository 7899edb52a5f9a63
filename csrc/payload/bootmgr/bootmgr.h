/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An EFI application that does with the firmware what Windows' boot manager and loader do, step by
 * step, and asserts what these rely on. What the steps share: options, calls, disks, words.
 */
#ifndef PK_PAYLOAD_BOOTMGR_H
#define PK_PAYLOAD_BOOTMGR_H

#include <common/mem.h>
#include <efi/guids.h>
#include <efi/protocols.h>

enum {
	WBM_PAGE		= 4096,
	WBM_LARGE_PAGE		= 2 * 1024 * 1024,
	WBM_ARENA_SIZE		= 64 * 1024 * 1024,
	WBM_DISKS_MAX		= 32,
	WBM_VOLUMES_MAX		= 32,
	WBM_KEY_DISKS_MAX	= 4,
	WBM_SHA256_SIZE		= 32,
	WBM_ARGUMENTS_MAX	= 10,
};

/* Little endian, wherever it lies. */
static inline u32 wbm_get16(const u8 *data)
{
	return (u32)(data[0] | data[1] << 8);
}

static inline u32 wbm_get32(const u8 *data)
{
	return wbm_get16(data) | wbm_get16(data + 2) << 16;
}

static inline u64 wbm_get64(const u8 *data)
{
	return wbm_get32(data) | (u64)wbm_get32(data + 4) << 32;
}

/* Where the application context has its heap and stack, and the runtime services at last. */
#define WBM_HEAP_VIRTUAL	0xfffff80000000000ULL
#define WBM_RUNTIME_VIRTUAL	0xfffff90000000000ULL

/* A whole disk or a partition that has Block I/O. */
struct wbm_disk {
	efi_handle_t handle;
	struct efi_block_io *io;
	const struct efi_device_path *path;
	u64 path_size;
	u64 last_block;
	u32 block_size;
	u32 alignment;
	bool removable;
	bool logical;		/* its path goes on where another disk's ends */
	bool is_media;		/* its own path ends in a media node, as a RAM disk's does */
	bool in_memory;		/* a RAM disk, or one that is on no bus */
};

/* A partition, by our own reading of the tables, or a disk without one. */
struct wbm_volume {
	const struct wbm_disk *disk;
	u64 start;		/* bytes */
	u64 size;
	u8 guid[16];		/* zero: not of a GPT */
};

/* Of a key disk that lies in memory. */
struct wbm_place {
	u64 start;
	u64 size;
	bool is_media;
};

struct wbm_map {
	u8 *data;
	u64 capacity;
	u64 size;
	u64 step;
	u64 key;
	u32 version;
};

struct wbm {
	efi_handle_t image_handle;
	struct efi_system_table *st;
	struct efi_boot_services *bs;
	struct efi_runtime_services *rt;
	struct efi_runtime_services early_rt;	/* copied at the entry */
	struct efi_loaded_image *image;
	const u16 *options;
	struct wbm_map map;
	u64 heap;		/* physical; WBM_HEAP_VIRTUAL in the application context */
	u64 heap_size;
	u64 pattern;		/* physical */
	u32 nr_disks;
	u32 nr_volumes;
	struct wbm_disk disks[WBM_DISKS_MAX];
	struct wbm_volume volumes[WBM_VOLUMES_MAX];
	const struct wbm_volume *boot_volume;
	const struct wbm_volume *os_volume;
	struct wbm_place key_places[WBM_KEY_DISKS_MAX];
	u32 nr_key_places;
};
extern struct wbm wbm;

/* report.c: by the serial port itself, so that nothing depends on boot services. */
void wbm_begin(u32 step);
efi_status_t wbm_end(efi_status_t status);
/* "WBM:<step>:<name>:<hex>:..."; places are addresses, which need not be the same twice. */
void wbm_report(const char *name, bool places, const u64 *values, u32 nr_values);
void wbm_report_bytes(const char *name, const void *data, u64 size);
efi_status_t wbm_failed(const char *what, efi_status_t status);

#define WBM_VALUES(...) (const u64[]){ __VA_ARGS__ }, sizeof((u64[]){ __VA_ARGS__ }) / sizeof(u64)
#define wbm_fact(name, ...) wbm_report(name, false, WBM_VALUES(__VA_ARGS__))
#define wbm_place(name, ...) wbm_report(name, true, WBM_VALUES(__VA_ARGS__))

/* Leave the function with what is not so, which is said as it is written. */
#define wbm_need(condition)                                       \
	do {                                                      \
		if (!(condition))                                 \
			return wbm_failed(#condition, EFI_ABORTED); \
	} while (0)
#define wbm_try(call)                                         \
	do {                                                  \
		efi_status_t status_ = (call);                \
		if (EFI_ERROR(status_))                       \
			return wbm_failed(#call, status_);    \
	} while (0)

/* options.c: "name=value" words of the load options' text. */
efi_status_t wbm_options_init(void);
bool wbm_option_number(const char *name, u64 *ret);
bool wbm_option_is(const char *name, const char *value);
bool wbm_option_digest(const char *name, u8 *ret);

/* memory.c */
efi_status_t wbm_read_map(struct wbm_map *map);
const struct efi_memory_descriptor *wbm_descriptor(const struct wbm_map *map, u64 address);
void *wbm_allocate(u64 size);	/* of the heap, zeroed, for good; NULL when it is used up */
void wbm_fill_pattern(void);
bool wbm_pattern_is_intact(void);

/* context.c */
/* A call of the firmware, in its own context wherever we are; pointers into our heap are translated. */
u64 wbm_firmware_call(u64 function, const u64 *arguments, u32 nr_arguments);
bool wbm_map_pages(u64 virt, u64 physical, u64 size);
efi_status_t wbm_run_application(efi_status_t (*function)(void));
/* Had the firmware its own page tables, GDT and IDT at the end of every call so far? */
bool wbm_firmware_kept_its_world(void);

/* Every argument becomes 64 bits. */
#define WBM_W1(a) (u64)(a)
#define WBM_W2(a, ...) (u64)(a), WBM_W1(__VA_ARGS__)
#define WBM_W3(a, ...) (u64)(a), WBM_W2(__VA_ARGS__)
#define WBM_W4(a, ...) (u64)(a), WBM_W3(__VA_ARGS__)
#define WBM_W5(a, ...) (u64)(a), WBM_W4(__VA_ARGS__)
#define WBM_W6(a, ...) (u64)(a), WBM_W5(__VA_ARGS__)
#define WBM_W7(a, ...) (u64)(a), WBM_W6(__VA_ARGS__)
#define WBM_W8(a, ...) (u64)(a), WBM_W7(__VA_ARGS__)
#define WBM_W9(a, ...) (u64)(a), WBM_W8(__VA_ARGS__)
#define WBM_W10(a, ...) (u64)(a), WBM_W9(__VA_ARGS__)
#define WBM_PICK(a, b, c, d, e, f, g, h, i, j, pick, ...) pick
#define WBM_WIDE(...)                                                                               \
	WBM_PICK(__VA_ARGS__, WBM_W10, WBM_W9, WBM_W8, WBM_W7, WBM_W6, WBM_W5, WBM_W4, WBM_W3, WBM_W2, \
		 WBM_W1, ) (__VA_ARGS__)
#define wbm_call(function, ...)                                                      \
	wbm_firmware_call((u64)(function), (const u64[]){ WBM_WIDE(__VA_ARGS__) },   \
			  sizeof((u64[]){ WBM_WIDE(__VA_ARGS__) }) / sizeof(u64))

/* disks.c */
efi_status_t wbm_read_blocks(const struct wbm_disk *disk, u64 lba, u64 size, void *buffer);
/* Any bytes of a volume. */
efi_status_t wbm_read(const struct wbm_volume *volume, u64 offset, u64 size, void *buffer);
const struct wbm_volume *wbm_volume_by_guid(const u8 *guid);

/* partitions.c */
efi_status_t wbm_find_volumes(void);

/* places.c */
/* Where a disk with a key lies; nothing for one that is not in memory. */
efi_status_t wbm_remember_place(const struct wbm_disk *disk);
bool wbm_key_places_are_zero(void);

/* fat.c: FAT12, FAT16 and FAT32 (Microsoft's specification 1.03). */
struct wbm_fat {
	const struct wbm_volume *volume;
	u32 bits;
	u32 sector_size;
	u32 cluster_size;
	u32 nr_clusters;
	u32 root_cluster;	/* FAT32 */
	u64 fat;		/* bytes into the volume, all of them */
	u64 root;
	u32 root_size;
	u64 data;
};

struct wbm_file {
	u32 cluster;
	u32 size;
	bool directory;
};

bool wbm_fat_mount(const struct wbm_volume *volume, struct wbm_fat *ret);
/* path: "\EFI\BOOT\..."; names are compared without regard to case. */
efi_status_t wbm_fat_open(const struct wbm_fat *fat, const u16 *path, struct wbm_file *ret);
/* The whole file, in memory of the heap. */
efi_status_t wbm_fat_load(const struct wbm_fat *fat, const u16 *path, u8 **ret_data, u64 *ret_size);
/* The SHA-256 of a file that may be larger than the heap; buffer has a cluster and more. */
efi_status_t wbm_fat_digest(const struct wbm_fat *fat, const u16 *path, u8 *buffer, u64 buffer_size, u8 *ret);

/* hive.c: a registry hive in memory. */
struct wbm_hive {
	const u8 *data;
	u64 size;
};

bool wbm_hive_open(const u8 *data, u64 size, struct wbm_hive *ret);
/* The key at a path of names with '\' between them; 0 when there is none. */
u32 wbm_hive_key(const struct wbm_hive *hive, const char *path);
bool wbm_hive_value(const struct wbm_hive *hive, u32 key, const char *name, u32 *ret_type, const u8 **ret_data,
		    u32 *ret_size);

/* log.c: what is measured, and what the firmware's log says of it. */
struct wbm_event {
	u32 pcr;
	u32 type;		/* TCG PC Client Platform Firmware Profile 1.05, 10.4.1 */
	u32 tag;		/* of an EV_EVENT_TAG */
	u32 data;
};

/* PCR 11 of the SHA-256 bank as the log has it, to ret; how many entries there are. */
efi_status_t wbm_log_read(struct efi_tcg2 *tcg2, u8 *ret_pcr11, u32 *ret_nr);
/* Measure events; the log must have grown by these and nothing else. */
efi_status_t wbm_log_add(struct efi_tcg2 *tcg2, const struct wbm_event *events, u32 nr_events);

/* sha256.c (FIPS 180-4), ccm.c (FIPS 197, SP 800-38C; nonces of 12 bytes, tags of 16). */
struct wbm_sha256 {
	u64 size;	/* bytes so far */
	u32 state[8];
	u8 rest[64];
};

void wbm_sha256_init(struct wbm_sha256 *sha);
void wbm_sha256_update(struct wbm_sha256 *sha, const void *data, u64 size);
void wbm_sha256_final(struct wbm_sha256 *sha, u8 *ret);
void wbm_sha256(const void *data, u64 size, u8 *ret);
bool wbm_ccm_decrypt(const u8 *key, const u8 *nonce, const u8 *tag, const u8 *data, u32 size, u8 *ret);

/* The steps, in order; main.c says which are which. */
efi_status_t wbm_entry(void);
efi_status_t wbm_parameters(void);
efi_status_t wbm_memory(void);
efi_status_t wbm_context(void);
efi_status_t wbm_console(void);
efi_status_t wbm_disks(void);
efi_status_t wbm_files(void);
efi_status_t wbm_installer(void);
efi_status_t wbm_tpm(void);
efi_status_t wbm_key(void);
efi_status_t wbm_exit(void);
efi_status_t wbm_virtual(void);
efi_status_t wbm_off(void);
efi_status_t wbm_hibernation(void);

/* tpm.c, for the end: PCR 11 capped, separators behind what was logged. */
efi_status_t wbm_tpm_cap(void);

#endif
