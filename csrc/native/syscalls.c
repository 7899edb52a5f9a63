// SPDX-License-Identifier: Apache-2.0
/* System calls that Python's standard library has not. */
#include <errno.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <native/syscalls.h>

static int result(long ret)
{
	return ret < 0 ? -errno : 0;
}

int pk_kexec_file_load(int kernel_fd, int initrd_fd, const char *cmdline, u64 flags)
{
	/* The kernel wants the terminator counted. */
	return result(syscall(SYS_kexec_file_load, kernel_fd, initrd_fd, strlen(cmdline) + 1, cmdline, flags));
}

int pk_kexec_load(u64 entry, u32 nr_segments, const struct pk_segment *segments, u64 flags)
{
	struct kexec_segment copy[KEXEC_SEGMENT_MAX];

	if (nr_segments > KEXEC_SEGMENT_MAX)
		return -EINVAL;
	for (u32 i = 0; i < nr_segments; i++)
		copy[i] = (struct kexec_segment){
			.buf = segments[i].data,
			.bufsz = segments[i].size,
			.mem = (const void *)(uintptr_t)segments[i].address,
			.memsz = segments[i].memory_size,
		};
	return result(syscall(SYS_kexec_load, entry, (unsigned long)nr_segments, copy, flags));
}

int pk_reboot(u32 command)
{
	return result(syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, command, NULL));
}

int pk_finit_module(int fd, const char *params, int flags)
{
	return result(syscall(SYS_finit_module, fd, params, flags));
}

int pk_mount(const char *source, const char *target, const char *fstype, u64 flags, const char *data)
{
	return result(mount(source, target, fstype, flags, data));
}

int pk_umount2(const char *target, int flags)
{
	return result(umount2(target, flags));
}
