// SPDX-License-Identifier: Apache-2.0
/* Step 7: the TPM as BitLocker uses it, whose commands are TPM 2.0 Library Specification, part 3. */
#include <payload/bootmgr/bootmgr.h>

enum {
	COMMAND_MAX	= 256,
	RESPONSE_MAX	= 1024,
	HEADER_SIZE	= 10,
	NO_SESSIONS	= 0x8001,
	SESSIONS	= 0x8002,
	POLICY_SESSION	= 1,
	ALG_NULL	= 0x0010,
	NONCE_SIZE	= 16,
	CONTINUE	= 1,
	SELECT_SIZE	= 3,
	NR_BANKS	= 4,
	PCR_READ_DIGEST	= HEADER_SIZE + 4 + 10 + 4,	/* its size; the digest is behind it */
	UNSEAL_DATA	= HEADER_SIZE + 4,
	HASH_DIGEST	= HEADER_SIZE,
	DIGEST_MAX	= 64,
	FIRST_OF_WINDOWS = 11,
	LAST_OF_WINDOWS	= 14,
};

enum command {
	TPM2_UNSEAL		= 0x15e,
	TPM2_FLUSH_CONTEXT	= 0x165,
	TPM2_START_AUTH_SESSION	= 0x176,
	TPM2_GET_RANDOM		= 0x17b,
	TPM2_HASH		= 0x17d,
	TPM2_PCR_READ		= 0x17e,
	TPM2_POLICY_PCR		= 0x17f,
	TPM2_PCR_EXTEND		= 0x182,
};

#define RH_NULL 0x40000007U
#define RS_PASSWORD 0x40000009U

struct bank {
	u16 algorithm;
	u16 size;
};

/* TPM_ALG_ID; bit i of hash_algorithm_bitmap is banks[i] (TCG EFI Protocol Specification, 6.4.1). */
static const struct bank banks[NR_BANKS] = { { 0x0004, 20 }, { 0x000b, 32 }, { 0x000c, 48 }, { 0x000d, 64 } };
enum { SHA256_BANK = 1 };

static struct efi_tcg2 *tcg2;
static u8 command[COMMAND_MAX], response[RESPONSE_MAX];
static u32 used;

static void put(u64 value, u32 size)
{
	while (size--)
		command[used++] = (u8)(value >> 8 * size);
}

static u32 get(u32 offset, u32 size)
{
	u32 value = 0;

	while (size--)
		value = value << 8 | response[offset++];
	return value;
}

static void begin(u32 tag, enum command code)
{
	used = 0;
	put(tag, 2);
	put(0, 4);
	put(code, 4);
}

static efi_status_t transmit(void)
{
	u32 size = used;

	used = 2;
	put(size, 4);
	wbm_try(wbm_call(tcg2->submit_command, tcg2, size, command, RESPONSE_MAX, response));
	if (get(6, 4))
		wbm_fact("response", get(6, 4));
	wbm_need(get(6, 4) == 0);
	return EFI_SUCCESS;
}

static void put_selection(u32 algorithm, u32 pcrs)
{
	put(1, 4);
	put(algorithm, 2);
	put(SELECT_SIZE, 1);
	for (u32 i = 0; i < SELECT_SIZE; i++)
		put(pcrs >> 8 * i, 1);
}

static efi_status_t read_pcr(const struct bank *bank, u32 pcr, u8 *ret)
{
	begin(NO_SESSIONS, TPM2_PCR_READ);
	put_selection(bank->algorithm, 1U << pcr);
	wbm_try(transmit());
	wbm_need(get(PCR_READ_DIGEST, 2) == bank->size);
	memcpy(ret, response + PCR_READ_DIGEST + 2, bank->size);
	return EFI_SUCCESS;
}

static efi_status_t report_pcrs(void)
{
	static const u8 numbers[] = { 0, 2, 4, 5, 7, 11, 12, 13, 14 };
	char name[] = "pcr00";
	u8 digest[DIGEST_MAX];

	for (u32 i = 0; i < sizeof(numbers); i++) {
		name[3] = (char)('0' + numbers[i] / 10);
		name[4] = (char)('0' + numbers[i] % 10);
		wbm_try(read_pcr(&banks[SHA256_BANK], numbers[i], digest));
		wbm_report_bytes(name, digest, WBM_SHA256_SIZE);
	}
	return EFI_SUCCESS;
}

static efi_status_t check_pcr11(u32 active)
{
	u8 digest[DIGEST_MAX];

	for (u32 i = 0; i < NR_BANKS; i++) {
		if (!(active & 1U << i))
			continue;
		wbm_try(read_pcr(&banks[i], 11, digest));
		for (u32 j = 0; j < banks[i].size; j++)
			wbm_need(digest[j] == 0);
	}
	return EFI_SUCCESS;
}

/* An object sealed to PCRs of the SHA-256 bank, which is persistent. */
static efi_status_t unseal(u32 object, u32 pcrs)
{
	u8 digest[WBM_SHA256_SIZE];
	u32 session, size;

	begin(NO_SESSIONS, TPM2_START_AUTH_SESSION);
	put(RH_NULL, 4);
	put(RH_NULL, 4);
	put(NONCE_SIZE, 2);
	for (u32 i = 0; i < NONCE_SIZE; i++)
		put(i, 1);
	put(0, 2);
	put(POLICY_SESSION, 1);
	put(ALG_NULL, 2);
	put(banks[SHA256_BANK].algorithm, 2);
	wbm_try(transmit());
	session = get(HEADER_SIZE, 4);

	begin(NO_SESSIONS, TPM2_POLICY_PCR);
	put(session, 4);
	put(0, 2);
	put_selection(banks[SHA256_BANK].algorithm, pcrs);
	wbm_try(transmit());

	begin(SESSIONS, TPM2_UNSEAL);
	put(object, 4);
	put(9, 4);
	put(session, 4);
	put(0, 2);
	put(CONTINUE, 1);
	put(0, 2);
	wbm_try(transmit());
	size = get(UNSEAL_DATA, 2);
	wbm_need(size && size <= RESPONSE_MAX - UNSEAL_DATA - 2);
	wbm_sha256(response + UNSEAL_DATA + 2, size, digest);
	wbm_report_bytes("unsealed", digest, sizeof(digest));

	begin(NO_SESSIONS, TPM2_FLUSH_CONTEXT);
	put(session, 4);
	return transmit();
}

static efi_status_t unseal_what_there_is(void)
{
	u64 object;

	/* With the binding to Secure Boot, and without. */
	if (wbm_option_number("sealed7", &object))
		wbm_try(unseal((u32)object, 1U << 7 | 1U << 11));
	if (wbm_option_number("sealed4", &object))
		wbm_try(unseal((u32)object, 1U << 0 | 1U << 2 | 1U << 4 | 1U << 11));
	return EFI_SUCCESS;
}

static void put_bytes(const u8 *data, u32 size)
{
	while (size--)
		put(*data++, 1);
}

static efi_status_t hash(const struct bank *bank, const u8 *data, u32 size, u8 *ret)
{
	begin(NO_SESSIONS, TPM2_HASH);
	put(size, 2);
	put_bytes(data, size);
	put(bank->algorithm, 2);
	put(RH_NULL, 4);
	wbm_try(transmit());
	wbm_need(get(HASH_DIGEST, 2) == bank->size);
	memcpy(ret, response + HASH_DIGEST + 2, bank->size);
	return EFI_SUCCESS;
}

static efi_status_t cap(const struct bank *bank, u32 pcr)
{
	static const u8 separator[4];
	u8 both[2 * DIGEST_MAX], expected[DIGEST_MAX], found[DIGEST_MAX];

	wbm_try(read_pcr(bank, pcr, both));
	wbm_try(hash(bank, separator, sizeof(separator), both + bank->size));
	begin(SESSIONS, TPM2_PCR_EXTEND);
	put(pcr, 4);
	put(9, 4);
	put(RS_PASSWORD, 4);
	put(0, 2);
	put(0, 1);
	put(0, 2);
	put(1, 4);
	put(bank->algorithm, 2);
	put_bytes(both + bank->size, bank->size);
	wbm_try(transmit());
	wbm_try(hash(bank, both, 2U * bank->size, expected));
	wbm_try(read_pcr(bank, pcr, found));
	wbm_need(!memcmp(found, expected, bank->size));
	return EFI_SUCCESS;
}

/*
 * One bank is used. Into the others goes a separator, which no log tells of: nothing that looks like
 * Windows' own can be in them afterwards.
 */
static efi_status_t cap_others(u32 active)
{
	u8 before[DIGEST_MAX], after[DIGEST_MAX];

	for (u32 pcr = FIRST_OF_WINDOWS; pcr <= LAST_OF_WINDOWS; pcr++) {
		wbm_try(read_pcr(&banks[SHA256_BANK], pcr, before));
		for (u32 i = 0; i < NR_BANKS; i++)
			if (i != SHA256_BANK && active & 1U << i)
				wbm_try(cap(&banks[i], pcr));
		wbm_try(read_pcr(&banks[SHA256_BANK], pcr, after));
		wbm_need(!memcmp(before, after, banks[SHA256_BANK].size));
	}
	wbm_fact("capped", active & ~(1U << SHA256_BANK));
	return EFI_SUCCESS;
}

/* What the boot manager logs, and then the loader. */
static const struct wbm_event events[] = {
	{ 11, EFI_TCG2_EV_COMPACT_HASH, 0, 0x00000010 },
	{ 12, EFI_TCG2_EV_EVENT_TAG, 0x40010001, 1 },
	{ 13, EFI_TCG2_EV_EVENT_TAG, 0x40010001, 2 },
	{ 14, EFI_TCG2_EV_EVENT_TAG, 0x00060002, 3 },
	{ 12, EFI_TCG2_EV_EVENT_TAG, 0x40010001, 4 },
	{ 13, EFI_TCG2_EV_EVENT_TAG, 0x40010001, 5 },
	{ 14, EFI_TCG2_EV_EVENT_TAG, 0x00060002, 6 },
};

#define WBCL 0x4c434257U
static const struct wbm_event last_events[] = {
	{ 11, EFI_TCG2_EV_COMPACT_HASH, 0, 0x0000ffff },
	{ 12, EFI_TCG2_EV_SEPARATOR, 0, WBCL },
	{ 13, EFI_TCG2_EV_SEPARATOR, 0, WBCL },
	{ 14, EFI_TCG2_EV_SEPARATOR, 0, WBCL },
};

efi_status_t wbm_tpm(void)
{
	struct efi_tcg2_capability *capability = wbm_allocate(sizeof(*capability));
	u8 logged[WBM_SHA256_SIZE], found[WBM_SHA256_SIZE];
	u32 nr;

	capability->size = sizeof(*capability);
	if (EFI_ERROR(wbm_call(wbm.bs->locate_protocol, &efi_guid_tcg2, NULL, &tcg2)) ||
	    EFI_ERROR(wbm_call(tcg2->get_capability, tcg2, capability)) || !capability->tpm_present_flag) {
		tcg2 = NULL;
		wbm_fact("none", 0);
		return EFI_SUCCESS;
	}
	wbm_fact("banks", capability->hash_algorithm_bitmap, capability->active_pcr_banks);
	begin(NO_SESSIONS, TPM2_GET_RANDOM);
	put(8, 2);
	wbm_try(transmit());
	wbm_try(report_pcrs());
	wbm_try(wbm_log_read(tcg2, logged, &nr));
	wbm_try(read_pcr(&banks[SHA256_BANK], 11, found));
	wbm_need(!memcmp(logged, found, sizeof(found)));
	if (wbm_option_is("pcr11", "zero"))
		wbm_try(check_pcr11(capability->active_pcr_banks));
	wbm_try(unseal_what_there_is());
	wbm_try(cap_others(capability->active_pcr_banks));
	return wbm_log_add(tcg2, events, sizeof(events) / sizeof(events[0]));
}

efi_status_t wbm_tpm_cap(void)
{
	return tcg2 ? wbm_log_add(tcg2, last_events, sizeof(last_events) / sizeof(last_events[0])) : EFI_SUCCESS;
}
