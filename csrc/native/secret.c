// SPDX-License-Identifier: Apache-2.0
/* Memory for key material: locked, in no core dump, not handed to children, wiped when it goes. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <native/secret.h>

int pk_secret_alloc(u64 size, void **ret)
{
	int code;
	void *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (data == MAP_FAILED)
		return -errno;
	/* Children get zeros: a lock is not inherited, and copied pages would outlive the wiping. */
	if (mlock(data, size) || madvise(data, size, MADV_DONTDUMP) || madvise(data, size, MADV_WIPEONFORK)) {
		code = -errno;
		munmap(data, size);
		return code;
	}
	*ret = data;
	return 0;
}

void pk_secret_wipe(void *data, u64 size)
{
	explicit_bzero(data, size);
}

void pk_secret_free(void *data, u64 size)
{
	explicit_bzero(data, size);
	munmap(data, size);
}
