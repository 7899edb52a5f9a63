// SPDX-License-Identifier: Apache-2.0
/* What of the TPM 2.0 Library Specification (rev. 1.59) decides about a command's way. */
#include <common/mem.h>
#include <common/tpm_filter.h>

/* Part 2, 6.5.2 and 7.4 */
enum {
	CC_STARTUP	= 0x144,
	CC_SHUTDOWN	= 0x145,
	RH_PLATFORM	= 0x4000000c,
};

static u32 get16(const u8 *data)
{
	return (u32)data[0] << 8 | data[1];
}

static u32 get32(const u8 *data)
{
	return get16(data) << 16 | get16(data + 2);
}

static void put32(u32 value, u8 *out)
{
	for (u32 i = 0; i < 4; i++)
		out[i] = value >> (24 - 8 * i) & 0xff;
}

bool pk_tpm_command_valid(const u8 *command, u64 size)
{
	u32 tag;

	if (size < PK_TPM_HEADER_SIZE || size > PK_TPM_BUFFER_SIZE)
		return false;
	tag = get16(command);
	return (tag == PK_TPM_NO_SESSIONS || tag == PK_TPM_SESSIONS) && get32(command + 2) == size;
}

u32 pk_tpm_command_code(const u8 *command)
{
	return get32(command + 6);
}

/*
 * Commands that use an authorization have sessions, and name the hierarchy by their first or
 * second handle. Where a command has fewer handles, the size of the authorization area (which
 * is below PK_TPM_BUFFER_SIZE) or a session's handle is in that place: never this value.
 */
static bool uses_platform_hierarchy(const u8 *command, u64 size)
{
	if (get16(command) != PK_TPM_SESSIONS)
		return false;
	for (u64 end = PK_TPM_HEADER_SIZE + 4; end <= PK_TPM_HEADER_SIZE + 8 && end <= size; end += 4) {
		if (get32(command + end - 4) == RH_PLATFORM)
			return true;
	}
	return false;
}

/*
 * Linux uses the TPM at locality 0, as root with /dev/tpm0 does on any machine; SubmitCommand
 * offers no other. So PCRs 17 to 22 cannot be reset, and owner, endorsement and lockout
 * hierarchy, dictionary attack protection, TPM2_Clear by lockout authorization, NV indices and
 * vendor commands are as open as they are to root anywhere: they pass.
 *
 * Two things are not as anywhere, because boot services live on:
 * - Linux says TPM2_Shutdown on its way out, since a reset follows elsewhere. Here none does:
 *   the firmware and the payload use the TPM next and send no TPM2_Startup. The last one that
 *   says so must be the OS that the payload starts. TPM2_Startup likewise is the firmware's.
 * - Firmware gives the platform hierarchy up, at the latest when an OS takes over. Most does
 *   so before any boot option; one that waits for ExitBootServices would leave it open to our
 *   root, who has no right to it: PCR banks, seeds and locked NV indices hang on it.
 */
bool pk_tpm_filter(const u8 *command, u64 size, u32 *ret_code)
{
	u32 code = pk_tpm_command_code(command);

	if (code == CC_STARTUP || code == CC_SHUTDOWN) {
		/* Not even an audit session: nobody could sign the response. */
		*ret_code = get16(command) == PK_TPM_NO_SESSIONS ? PK_TPM_RC_SUCCESS : PK_TPM_RC_AUTH_CONTEXT;
		return true;
	}
	if (uses_platform_hierarchy(command, size)) {
		*ret_code = PK_TPM_RC_HIERARCHY_1;
		return true;
	}
	return false;
}

u64 pk_tpm_response_size(const u8 *response, u64 capacity)
{
	u64 size;
	u32 tag;

	if (capacity < PK_TPM_HEADER_SIZE)
		return 0;
	tag = get16(response);
	size = get32(response + 2);
	if (tag != PK_TPM_NO_SESSIONS && tag != PK_TPM_SESSIONS && tag != PK_TPM_RSP_COMMAND)
		return 0;
	return size >= PK_TPM_HEADER_SIZE && size <= capacity ? size : 0;
}

void pk_tpm_answer(u32 code, u8 *response)
{
	response[0] = PK_TPM_NO_SESSIONS >> 8;
	response[1] = PK_TPM_NO_SESSIONS & 0xff;
	put32(PK_TPM_HEADER_SIZE, response + 2);
	put32(code, response + 6);
}

/* TCG_PCClientTaggedEvent (PC Client Platform Firmware Profile 1.05, 10.4.2) of a configuration. */
static bool is_config(const u8 *data, u64 size)
{
	u32 head[2];

	if (size < sizeof(head))
		return false;
	memcpy(head, data, sizeof(head));
	return head[0] == PK_TPM_EVENT_TAG_CONFIG && head[1] == size - sizeof(head);
}

/*
 * What else the registers say is the firmware's word, or that of the image; Linux' own must not be among it.
 */
bool pk_tpm_event_allowed(u32 pcr, const u8 *data, u64 size)
{
	if (!size || size > PK_TPM_EVENT_MAX)
		return false;
	return pcr == PK_TPM_EVENT_PCR_RELEASE || (pcr == PK_TPM_EVENT_PCR_CONFIG && is_config(data, size));
}
