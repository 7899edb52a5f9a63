/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Negative controls: builds of the stub for tests, in which a protection is
 * missing or a race window is held open (tests/vm/test_races.py,
 * test_ticks.py, test_variables.py, test_wds.py). In the product none of the PK_TEST_ macros is defined and
 * this file is nothing.
 */
#ifndef PK_STUB_TEST_H
#define PK_STUB_TEST_H

/* A build that must fail where the product passes: nothing is drained on the way back to the firmware. */
#ifdef PK_TEST_NO_DRAIN
#define pk_test_drain(statement) ((void)sizeof(statement))
#else
#define pk_test_drain(statement) (statement)
#endif

/* Likewise: the gate drains before it masks the source, not after. */
#ifdef PK_TEST_DRAIN_FIRST
#define pk_test_drain_before_mask(statement) (statement)
#define pk_test_drain_after_mask(statement) ((void)sizeof(statement))
#else
#define pk_test_drain_before_mask(statement) ((void)sizeof(statement))
#define pk_test_drain_after_mask(statement) (statement)
#endif

/* Likewise: the firmware's tick is a matter of registers, as if its driver had no protocol. */
#ifdef PK_TEST_NO_TIMER_ARCH
#define pk_test_timer_arch(timer) ((void)(timer), NULL)
#else
#define pk_test_timer_arch(timer) (timer)
#endif

/* Likewise: what fired into Linux' world is not told to the firmware's handler. */
#ifdef PK_TEST_NO_LEARNT_TICKS
#define pk_test_learnt(vectors) ((void)(vectors), 0)
#else
#define pk_test_learnt(vectors) (vectors)
#endif

/* Likewise: Linux is started on a firmware whose time then stands still. */
#ifdef PK_TEST_NO_TICK_CHECK
#define pk_test_tick_check(status) ((void)(status), EFI_SUCCESS)
#else
#define pk_test_tick_check(status) (status)
#endif

/* Likewise: the chipset's watchdog goes on in Linux' world. */
#ifdef PK_TEST_NO_TCO_HALT
#define pk_test_halts_tco(is_present) ((void)(is_present), false)
#else
#define pk_test_halts_tco(is_present) (is_present)
#endif

/* Likewise: an NMI in the firmware's world is the firmware's. */
#ifdef PK_TEST_NO_FAULT_GUARD
#define pk_test_guards_firmware() false
#else
#define pk_test_guards_firmware() true
#endif

/* Likewise: what only boot services may see and change is not hidden from Linux. */
#ifdef PK_TEST_NO_VARIABLE_FILTER
#define pk_test_visible(visible) ((void)(visible), true)
#define pk_test_may_set(status) ((void)(status), EFI_SUCCESS)
#else
#define pk_test_visible(visible) (visible)
#define pk_test_may_set(status) (status)
#endif

/* Likewise: root may say that its payload comes out of the firmware. */
#ifdef PK_TEST_NO_ORIGIN_CHECK
#define pk_test_origin(status) ((void)(status), EFI_SUCCESS)
#else
#define pk_test_origin(status) (status)
#endif

/* Likewise: TPM2_Shutdown, TPM2_Startup and the platform hierarchy reach the firmware's TPM. */
#ifdef PK_TEST_NO_TPM_FILTER
#define pk_test_tpm_filter(answered) ((void)(answered), false)
#else
#define pk_test_tpm_filter(answered) (answered)
#endif

/* Likewise: what Linux' memory held stays there when Linux ends. */
#ifdef PK_TEST_NO_SECRETS_WIPE
#define pk_test_secrets_wipe(statement) ((void)sizeof(statement))
#else
#define pk_test_secrets_wipe(statement) (statement)
#endif

/* Likewise: requests of Linux' kernel may name memory that is the firmware's. */
#ifdef PK_TEST_NO_MEMORY_CHECK
#define pk_test_memory_check(inside) ((void)(inside), true)
#else
#define pk_test_memory_check(inside) (inside)
#endif

/* Likewise: root of a locked-down Linux has the firmware run what nobody verified. */
#ifdef PK_TEST_NO_PAYLOAD_LOCK
#define pk_test_payload_lock(locked) ((void)(locked), false)
#else
#define pk_test_payload_lock(locked) (locked)
#endif

/* Likewise: QueryVariableInfo is answered out of memory for as long as bells find work. */
#ifdef PK_TEST_OLD_QUERY
#define pk_test_query_age(is_old) ((void)(is_old), asked_at == 0)
#else
#define pk_test_query_age(is_old) (is_old)
#endif

/* Likewise: what is freed may still be called. */
#ifdef PK_TEST_KEPT_INTERFACES
#define pk_test_forget(statement) ((void)sizeof(statement))
#else
#define pk_test_forget(statement) (statement)
#endif

/* Likewise: a number goes on standing for whatever lies at its address. */
#ifdef PK_TEST_KEPT_NUMBERS
#define pk_test_retire(statement) ((void)sizeof(statement))
#else
#define pk_test_retire(statement) (statement)
#endif

/* Likewise: while an interface is borrowed the firmware's own handlers may take it away. */
#ifdef PK_TEST_NO_HOLD
#define pk_test_hold(level) ((void)(level), EFI_TPL_APPLICATION)
#else
#define pk_test_hold(level) (level)
#endif

/* Likewise: the window is used before Linux has said that it is set aside. */
#ifdef PK_TEST_UNCLAIMED_WINDOW
#define pk_test_window_claim(is_shared) ((void)(is_shared), true)
#else
#define pk_test_window_claim(is_shared) (is_shared)
#endif

/* Likewise: drivers are started where they are freed while they are at work. */
#ifdef PK_TEST_NO_SHIM_CHECK
#define pk_test_shim(frees) ((void)(frees), false)
#else
#define pk_test_shim(frees) (frees)
#endif

/* Likewise: a RAM disk that a driver holds keeps its contents when Linux ends. */
#ifdef PK_TEST_NO_RAMDISK_WIPE
#define pk_test_ramdisk_wipe(statement) ((void)sizeof(statement))
#else
#define pk_test_ramdisk_wipe(statement) (statement)
#endif

/* Likewise: the stub is freed although a driver holds a disk that it serves itself. */
#ifdef PK_TEST_FREED_DISK
#define pk_test_held(status) ((void)(status), EFI_SUCCESS)
#else
#define pk_test_held(status) (status)
#endif

/* Likewise: one of a shape, the firmware's RAM disk or a disk of our own, keeps them when boot services end. */
#if defined(PK_TEST_NO_EXIT_WIPE)
#define pk_test_exit_wipe(is_block, statement) ((is_block) ? (statement) : false)
#elif defined(PK_TEST_NO_EXIT_WIPE_OF_BLOCK)
#define pk_test_exit_wipe(is_block, statement) ((is_block) ? false : (statement))
#else
#define pk_test_exit_wipe(is_block, statement) (statement)
#endif

/* Likewise: NICs that Linux had go on receiving. */
#ifdef PK_TEST_NO_NIC_SHUTDOWN
#define pk_test_nic_shutdown(status) ((void)sizeof(status), EFI_SUCCESS)
#else
#define pk_test_nic_shutdown(status) (status)
#endif

/* Likewise: base code forgets what the network boot was told. */
#ifdef PK_TEST_NO_PXE_STATE
#define pk_test_pxe(status) ((void)sizeof(status), EFI_SUCCESS)
#else
#define pk_test_pxe(status) (status)
#endif

/* Likewise: base code has its packets again, and no way to servers behind a router. */
#ifdef PK_TEST_NO_ROUTER
#define pk_test_router(status) ((void)sizeof(status), EFI_SUCCESS)
#else
#define pk_test_router(status) (status)
#endif

/* Likewise: memory that the firmware gives out as data stays so. */
#ifdef PK_TEST_NO_ATTRIBUTES
#define pk_test_attributes(protocol) ((void)(protocol), (struct efi_memory_attribute *)NULL)
#else
#define pk_test_attributes(protocol) (protocol)
#endif

/* Likewise: a boot service is still ours when the payload is started, and the table's checksum is right. */
#ifdef PK_TEST_HOOKED_SERVICE
#include <efi/tables.h>

static inline EFIAPI efi_status_t pk_test_stall(u64 us)
{
	(void)us;
	return EFI_SUCCESS;
}

static inline void pk_test_hook(struct efi_boot_services *bs)
{
	u32 crc = 0;

	bs->stall = pk_test_stall;
	bs->hdr.crc32 = 0;
	bs->calculate_crc32(&bs->hdr, bs->hdr.header_size, &crc);
	bs->hdr.crc32 = crc;
}
#else
#define pk_test_hook(bs) ((void)(bs))
#endif

/* Likewise: whatever is on PCI itself is taken to be virtio. */
#ifdef PK_TEST_PCI_POLLS
#define pk_test_virtio(is_virtio) ((void)(is_virtio), true)
#else
#define pk_test_virtio(is_virtio) (is_virtio)
#endif

/* Linux is told to do what one without CONFIG_EFI_SOFT_RESERVE does: to take the window for memory. */
#ifdef PK_TEST_NO_SOFT_RESERVE
#define PK_TEST_EFI_WORDS ",nosoftreserve"
#else
#define PK_TEST_EFI_WORDS ""
#endif

/* Likewise: a disk that nobody may write to has changed once Linux has tried to. */
#ifdef PK_TEST_NO_READ_ONLY
#define pk_test_read_only(read_only) ((void)(read_only), false)
#else
#define pk_test_read_only(read_only) (read_only)
#endif

/* Likewise: what Linux draws may go beyond the screen, which is memory to whoever draws. */
#ifdef PK_TEST_NO_SCREEN_EDGE
#define pk_test_screen(inside) ((void)(inside), true)
#else
#define pk_test_screen(inside) (inside)
#endif

/* Likewise: every image tells what of the firmware's memory differs. */
#ifdef PK_TEST_RAM_OF_ALL
#define pk_test_certifies(certifies) ((void)(certifies), true)
#else
#define pk_test_certifies(certifies) (certifies)
#endif

/* A call into the firmware that never comes back: of ACPI_TABLE. */
#ifdef PK_TEST_HANG
#define pk_test_hang() do { __asm__ volatile("pause"); } while (1)
#else
#define pk_test_hang() ((void)0)
#endif

/* An item more, which faults where the local APIC is in xAPIC mode: it must be found to be missing. */
#ifdef PK_TEST_FAULTING_ITEM
#define PK_TEST_ITEM(item) item,
#else
#define PK_TEST_ITEM(item)
#endif

/* Hold the windows open in which a tick of Linux may come, so that it does. */
#ifdef PK_TEST_WINDOW_TSC
#include <stub/lib/io.h>

static inline void pk_test_window(void)
{
	u64 start = pk_rdtsc();

	while (pk_rdtsc() - start < PK_TEST_WINDOW_TSC)
		;
}
#else
#define pk_test_window() ((void)0)
#endif

#endif
