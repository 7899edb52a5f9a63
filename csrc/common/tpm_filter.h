/* SPDX-License-Identifier: Apache-2.0 */
/* TPM 2.0 commands on their way to the firmware's TPM: well-formed ones, and those that it must not see. */
#ifndef PK_COMMON_TPM_FILTER_H
#define PK_COMMON_TPM_FILTER_H

#include <pykexec/abi.h>

enum {
	PK_TPM_HEADER_SIZE	= 10,	/* tag, size, code: of commands and responses (Part 1, 18.3) */
	PK_TPM_BUFFER_SIZE	= 4096,	/* largest command or response: TPM_BUFSIZE of Linux */
};

/* Part 2, 6.9: the tags of commands and responses. */
enum {
	PK_TPM_RSP_COMMAND	= 0x00c4,	/* a TPM 2.0's answer to a tag that it does not know */
	PK_TPM_NO_SESSIONS	= 0x8001,
	PK_TPM_SESSIONS		= 0x8002,
};

/* Part 2, 6.6: response codes that are given in the TPM's place. */
enum {
	PK_TPM_RC_SUCCESS	= 0x000,
	PK_TPM_RC_FAILURE	= 0x101,
	PK_TPM_RC_COMMAND_SIZE	= 0x142,
	PK_TPM_RC_AUTH_CONTEXT	= 0x145,	/* the command takes no sessions */
	PK_TPM_RC_LOCALITY	= 0x907,
	PK_TPM_RC_RETRY		= 0x922,	/* nothing was done: ask again */
	PK_TPM_RC_HIERARCHY_1	= 0x185,	/* the first handle's hierarchy is disabled */
};

/* Is it a command whose header says size? */
bool pk_tpm_command_valid(const u8 *command, u64 size);

/* The code of a valid command, TPM2_CC_.... */
u32 pk_tpm_command_code(const u8 *command);

/*
 * Must a valid command be answered in the TPM's place? Then *ret_code is the response's code.
 */
bool pk_tpm_filter(const u8 *command, u64 size, u32 *ret_code);

/* The size that a response's own header says; 0 if it is no response or does not fit. */
u64 pk_tpm_response_size(const u8 *response, u64 capacity);

/* Write a response without parameters, PK_TPM_HEADER_SIZE bytes. */
void pk_tpm_answer(u32 code, u8 *response);

/* May Linux have size bytes of event data measured into pcr? */
bool pk_tpm_event_allowed(u32 pcr, const u8 *data, u64 size);

#endif
