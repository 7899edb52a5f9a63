// SPDX-License-Identifier: Apache-2.0
/*
 * The window's memory, and whose it is. Linux is told that it is conventional memory of
 * specific purpose (EFI_MEMORY_SP), which a kernel without CONFIG_EFI_SOFT_RESERVE takes for
 * its own as any other. Nothing here may then be read or written: it is Linux' memory.
 */
#include <stub/lib/console.h>
#include <stub/lib/io.h>
#include <stub/lib/string.h>
#include <stub/lib/stub.h>
#include <stub/lib/test.h>
#include <stub/services/window_memory.h>

/* What the firmware gave, alignment slack included. */
static struct pk_range taken;
/* As it was written for this Linux. */
static struct pk_window header;
static bool is_memory;
/* Offset behind the last byte that data has passed through. */
static u64 used_end;

static struct pk_window *window(void)
{
	return (struct pk_window *)pk_handoff.window.start;
}

static bool take(u64 size)
{
	u64 nr_pages = (size + PK_WINDOW_ALIGNMENT) / PK_PAGE_SIZE;
	u64 address = 0xffffffff;	/* DMA of old devices */

	if (EFI_ERROR(pk_bs->allocate_pages(EFI_ALLOCATE_MAX_ADDRESS, EFI_LOADER_DATA, nr_pages, &address)))
		return false;
	taken = (struct pk_range){ address, nr_pages * PK_PAGE_SIZE };
	address = (address + PK_WINDOW_ALIGNMENT - 1) & ~(u64)(PK_WINDOW_ALIGNMENT - 1);
	pk_handoff.window = (struct pk_range){ address, size };
	/* What lies here is the firmware's, and Linux reads it. */
	memset((void *)address, 0, size);
	return true;
}

void pk_window_allocate(u64 mib)
{
	u64 size = PK_WINDOW_SIZE;

	if (mib > PK_WINDOW_SIZE >> 20)
		size = mib > PK_WINDOW_SIZE_MAX >> 20 ? PK_WINDOW_SIZE_MAX : (mib << 20) & -(u64)PK_WINDOW_ALIGNMENT;
	if (size > PK_WINDOW_SIZE && !take(size)) {
		pk_print("pykexec: no %d MiB for the window\n", size >> 20);
		size = PK_WINDOW_SIZE;
	}
	if (!taken.size && !take(size))
		pk_print("pykexec: no %d MiB for the window: data goes by the mailbox\n", size >> 20);
}

void pk_window_release(void)
{
	if (!taken.size)
		return;
	pk_window_wipe();
	pk_bs->free_pages(taken.start, taken.size / PK_PAGE_SIZE);
	taken = (struct pk_range){ 0, 0 };
	pk_handoff.window = taken;
	pk_window_is_shared = false;
}

/* Never twice the same in a boot: what an earlier Linux had here is no answer. */
static u64 new_cookie(void)
{
	u64 x = pk_rdtsc() ^ header.cookie;

	/* SplitMix64's finish. */
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

void pk_window_prepare(void)
{
	if (!pk_handoff.window.size)
		return;
	pk_window_is_shared = false;
	is_memory = false;
	header = (struct pk_window){
		.magic = PK_WINDOW_MAGIC,
		.version = PK_WINDOW_VERSION,
		.nr_channels = PK_WINDOW_CHANNELS,
		.size = pk_handoff.window.size,
		.data = PK_WINDOW_DATA,
		.cookie = new_cookie(),
	};
	memset(window(), 0, PK_WINDOW_DATA);
	memcpy(window(), &header, sizeof(header));
}

bool pk_window_is_open(void)
{
	return pk_test_window_claim(pk_window_is_shared);
}

/* Nobody who uses it as memory leaves header and channels as they were. */
static bool is_untouched(void)
{
	const u8 *bytes = (const u8 *)window();

	for (u64 i = sizeof(header); i < PK_WINDOW_DATA; i++)
		if (bytes[i])
			return false;
	return !memcmp(bytes, &header, sizeof(header));
}

efi_status_t pk_window_claim(struct pk_call *call)
{
	const struct pk_window_request *request = call->body;

	if (!pk_handoff.window.size)
		return EFI_UNSUPPORTED;
	if (request->use == PK_WINDOW_IS_MEMORY && !pk_window_is_shared) {
		is_memory = true;
		return EFI_SUCCESS;
	}
	if (request->use != PK_WINDOW_SET_ASIDE)
		return EFI_INVALID_PARAMETER;
	if (is_memory || request->cookie != header.cookie)
		return EFI_ACCESS_DENIED;
	if (!pk_window_is_shared && !is_untouched())
		return EFI_ACCESS_DENIED;
	pk_window_is_shared = true;
	return EFI_SUCCESS;
}

void pk_window_used(u64 end)
{
	if (end > used_end)
		used_end = end;
}

void pk_window_tell(void)
{
	if (pk_handoff.window.size && pk_window_is_open())
		window()->nr_installed++;
}

void pk_window_wipe(void)
{
	if (used_end > PK_WINDOW_DATA)
		memset((void *)(pk_handoff.window.start + PK_WINDOW_DATA), 0, used_end - PK_WINDOW_DATA);
	used_end = 0;
}

void pk_window_wipe_all(void)
{
	if (pk_handoff.window.size)
		memset(window(), 0, pk_handoff.window.size);
	used_end = 0;
}
