// SPDX-License-Identifier: Apache-2.0
/*
 * What kexec leaves, as the stub looks at it, in a Linux whose memory is one buffer. Arguments: where
 * boot_params are said to lie (inside, end, outside, nowhere). Prints the payload's size, or "none".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <asm/bootparam.h>
#include <stub/end/origin.h>
#include <stub/end/staged.h>
#include <stub/lib/stub.h>

enum { MEMORY_SIZE = 64 * 1024, PAYLOAD_AT = 32 * 1024, PAYLOAD_SIZE = 1000, COMMAND_LINE_AT = 16 * 1024 };

efi_status_t pk_origin_check(const void *path)
{
	(void)path;
	return EFI_SUCCESS;
}

static u64 address_of(const char *where, u8 *memory)
{
	if (!strcmp(where, "inside"))
		return (u64)memory;
	/* Its last byte is beyond. */
	if (!strcmp(where, "end"))
		return (u64)memory + MEMORY_SIZE - sizeof(struct boot_params) + 1;
	return strcmp(where, "outside") ? 0 : (u64)memory + MEMORY_SIZE;
}

int main(int argc, char **argv)
{
	u8 *memory = aligned_alloc(PK_PAGE_SIZE, MEMORY_SIZE);
	struct boot_params *params = (void *)memory;
	struct pk_payload payload;

	if (argc != 2 || !memory)
		return 2;
	memset(memory, 0, MEMORY_SIZE);
	params->hdr.ramdisk_image = (u32)((u64)memory + PAYLOAD_AT);
	params->ext_ramdisk_image = (u32)(((u64)memory + PAYLOAD_AT) >> 32);
	params->hdr.ramdisk_size = PAYLOAD_SIZE;
	params->hdr.cmd_line_ptr = (u32)((u64)memory + COMMAND_LINE_AT);
	params->ext_cmd_line_ptr = (u32)(((u64)memory + COMMAND_LINE_AT) >> 32);
	pk_handoff.arena = (struct pk_range){ (u64)memory, MEMORY_SIZE };
	pk_handoff.boot_params = address_of(argv[1], memory);
	if (pk_payload_of_kexec(&payload))
		printf("%llu\n", (unsigned long long)payload.size);
	else
		puts("none");
	free(memory);
	return 0;
}
