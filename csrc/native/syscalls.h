/* SPDX-License-Identifier: Apache-2.0 */
/* System calls that Python's standard library has not; each returns 0 or -errno. */
#ifndef PK_NATIVE_SYSCALLS_H
#define PK_NATIVE_SYSCALLS_H

#include <pykexec/types.h>

/* One piece of a kexec_load() image: size bytes at data, to lie at address, zeroed up to memory_size. */
struct pk_segment {
	const void *data;
	u64 size;
	u64 address;
	u64 memory_size;
};

/* initrd_fd is ignored with KEXEC_FILE_NO_INITRAMFS. */
int pk_kexec_file_load(int kernel_fd, int initrd_fd, const char *cmdline, u64 flags);

/* At most KEXEC_SEGMENT_MAX segments. */
int pk_kexec_load(u64 entry, u32 nr_segments, const struct pk_segment *segments, u64 flags);

/* command is LINUX_REBOOT_CMD_...; does not sync. */
int pk_reboot(u32 command);

int pk_finit_module(int fd, const char *params, int flags);

/* data may be NULL. */
int pk_mount(const char *source, const char *target, const char *fstype, u64 flags, const char *data);

int pk_umount2(const char *target, int flags);

#endif
