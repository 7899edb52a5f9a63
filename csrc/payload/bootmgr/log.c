// SPDX-License-Identifier: Apache-2.0
/* The event log (TCG PC Client Platform Firmware Profile 1.05, 10): replayed, and grown by our events. */
#include <common/event_log.h>
#include <payload/bootmgr/bootmgr.h>

enum {
	ALGORITHMS_MAX	= 8,
	ALG_SHA256	= 0x000b,
	SPEC_ID_SIZES	= 28,		/* in the first event: the algorithms' identifiers and sizes */
	FIRST_HEADER	= 32,
	EVENT_MAX	= 128,
};

struct log {
	const u8 *data;
	u64 size;
	u32 nr_algorithms;
	struct {
		u16 id;
		u16 size;
	} algorithms[ALGORITHMS_MAX];
};

struct entry {
	u32 pcr;
	u32 type;
	const u8 *sha256;
	const u8 *event;
	u32 event_size;
};

static u32 digest_size(const struct log *log, u32 id)
{
	for (u32 i = 0; i < log->nr_algorithms; i++)
		if (log->algorithms[i].id == id)
			return log->algorithms[i].size;
	return 0;
}

static efi_status_t open_log(struct efi_tcg2 *tcg2, struct log *ret)
{
	u64 first = 0, last = 0;
	u8 truncated = 0;

	wbm_try(wbm_call(tcg2->get_event_log, tcg2, EFI_TCG2_EVENT_LOG_FORMAT_TCG_2, &first, &last, &truncated));
	wbm_need(first && last >= first && !truncated);
	*ret = (struct log){ .data = (const u8 *)first };
	/* The size is found, and every entry seen to be whole, by the code that the product has for it. */
	wbm_need(pk_event_log_size(ret->data, PK_EVENT_LOG_MAX, last - first, true, &ret->size));
	ret->nr_algorithms = wbm_get32(ret->data + FIRST_HEADER + SPEC_ID_SIZES - 4);
	wbm_need(ret->nr_algorithms <= ALGORITHMS_MAX);
	memcpy(ret->algorithms, ret->data + FIRST_HEADER + SPEC_ID_SIZES, 4ULL * ret->nr_algorithms);
	return EFI_SUCCESS;
}

/* The entry at *at, which is moved behind it; false at the end. */
static bool next(const struct log *log, u64 *at, struct entry *ret)
{
	const u8 *data;
	u32 count;

	if (!*at)
		*at = FIRST_HEADER + wbm_get32(log->data + FIRST_HEADER - 4);
	if (*at >= log->size)
		return false;
	data = log->data + *at;
	*ret = (struct entry){ .pcr = wbm_get32(data), .type = wbm_get32(data + 4) };
	count = wbm_get32(data + 8);
	data += 12;
	while (count--) {
		u32 id = wbm_get16(data);

		if (id == ALG_SHA256)
			ret->sha256 = data + 2;
		data += 2 + digest_size(log, id);
	}
	ret->event_size = wbm_get32(data);
	ret->event = data + 4;
	*at = (u64)(ret->event + ret->event_size - log->data);
	return true;
}

efi_status_t wbm_log_read(struct efi_tcg2 *tcg2, u8 *ret_pcr11, u32 *ret_nr)
{
	u8 both[2 * WBM_SHA256_SIZE] = { 0 };
	struct entry entry;
	struct log log;
	u32 nr = 0;

	wbm_try(open_log(tcg2, &log));
	for (u64 at = 0; next(&log, &at, &entry); nr++) {
		if (entry.pcr != 11 || entry.type == EFI_TCG2_EV_NO_ACTION)
			continue;
		wbm_need(entry.sha256);
		memcpy(both + WBM_SHA256_SIZE, entry.sha256, WBM_SHA256_SIZE);
		wbm_sha256(both, sizeof(both), both);
	}
	memcpy(ret_pcr11, both, WBM_SHA256_SIZE);
	*ret_nr = nr;
	return EFI_SUCCESS;
}

/* The data of an event: a tagged event is tag, size and what follows (10.4.2.1). */
static u32 data_of(const struct wbm_event *event, u8 *ret)
{
	u32 tagged[3] = { event->tag, sizeof(event->data), event->data };

	if (event->type == EFI_TCG2_EV_EVENT_TAG) {
		memcpy(ret, tagged, sizeof(tagged));
		return sizeof(tagged);
	}
	memcpy(ret, &event->data, sizeof(event->data));
	return sizeof(event->data);
}

static efi_status_t measure(struct efi_tcg2 *tcg2, const struct wbm_event *event)
{
	static u8 buffer[EVENT_MAX] __attribute__((aligned(8)));
	struct efi_tcg2_event *tcg_event = (void *)buffer;
	u32 size = data_of(event, tcg_event->event);

	tcg_event->size = (u32)offsetof(struct efi_tcg2_event, event) + size;
	tcg_event->header_size = EFI_TCG2_EVENT_HEADER_SIZE;
	tcg_event->header_version = EFI_TCG2_EVENT_HEADER_VERSION;
	memcpy(tcg_event->pcr_index, &event->pcr, sizeof(event->pcr));
	memcpy(tcg_event->event_type, &event->type, sizeof(event->type));
	return wbm_call(tcg2->hash_log_extend_event, tcg2, 0, tcg_event->event, size, tcg_event);
}

static bool is_entry_of(const struct entry *entry, const struct wbm_event *event)
{
	u8 data[EVENT_MAX], digest[WBM_SHA256_SIZE];
	u32 size = data_of(event, data);

	wbm_sha256(data, size, digest);
	return entry->pcr == event->pcr && entry->type == event->type && entry->event_size == size &&
	       !memcmp(entry->event, data, size) && (!entry->sha256 || !memcmp(entry->sha256, digest, sizeof(digest)));
}

efi_status_t wbm_log_add(struct efi_tcg2 *tcg2, const struct wbm_event *events, u32 nr_events)
{
	u8 unused[WBM_SHA256_SIZE];
	u32 nr_before, nr = 0;
	struct entry entry;
	struct log log;

	wbm_try(wbm_log_read(tcg2, unused, &nr_before));
	for (u32 i = 0; i < nr_events; i++)
		wbm_try(measure(tcg2, &events[i]));
	wbm_try(open_log(tcg2, &log));
	for (u64 at = 0; next(&log, &at, &entry); nr++)
		if (nr >= nr_before)
			wbm_need(nr - nr_before < nr_events && is_entry_of(&entry, &events[nr - nr_before]));
	wbm_need(nr == nr_before + nr_events);
	return EFI_SUCCESS;
}
