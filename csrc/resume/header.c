// SPDX-License-Identifier: Apache-2.0
/* The setup header that makes kexec_file_load(2) take us for a bzImage (Documentation/arch/x86/boot.rst). */
#include <asm/bootparam.h>
#include <pykexec/types.h>

enum {
	SETUP_SECTORS	= 1,		/* behind the boot sector: the 64-bit part begins at 0x400 */
	PROTOCOL	= 0x020f,
	ALIGNMENT	= 0x200000,
	PREFERRED	= 0x1000000,
	INIT_SIZE	= 0x40000,	/* file, stack and page tables; resume.lds checks it */
	COMMAND_LINE	= 2047,
	JUMP_SHORT	= 0xeb,
	BOOT_SECTOR	= 0xaa55,
	HDRS		= 0x53726448,	/* "HdrS" */
};

/* kexec tests these two only by their presence: the 64-bit entry is always at 0x200. */
struct head {
	u8 boot_code[offsetof(struct boot_params, hdr)];
	struct setup_header header;
	u8 pad[0x400 - offsetof(struct boot_params, hdr) - sizeof(struct setup_header)];
} __attribute__((packed));
_Static_assert(sizeof(struct head) == (SETUP_SECTORS + 1) * 512, "the 64-bit part follows");

__attribute__((section(".head"), used)) static const struct head head = {
	.header = {
		.setup_sects = SETUP_SECTORS,
		.vid_mode = 0xffff,
		.boot_flag = BOOT_SECTOR,
		.jump = JUMP_SHORT | (offsetof(struct setup_header, kernel_info_offset) + 4 -
				      offsetof(struct setup_header, header)) << 8,
		.header = HDRS,
		.version = PROTOCOL,
		.loadflags = LOADED_HIGH,
		.code32_start = 0x100000,
		.initrd_addr_max = 0x7fffffff,
		.kernel_alignment = ALIGNMENT,
		.relocatable_kernel = 1,
		.min_alignment = 21,
		.xloadflags = XLF_KERNEL_64 | XLF_CAN_BE_LOADED_ABOVE_4G | XLF_5LEVEL | XLF_5LEVEL_ENABLED,
		.cmdline_size = COMMAND_LINE,
		.pref_address = PREFERRED,
		.init_size = INIT_SIZE,
	},
};
