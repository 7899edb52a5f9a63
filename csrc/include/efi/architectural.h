/* SPDX-License-Identifier: Apache-2.0 */
/* Protocols between the firmware's own parts (PI 1.8, volume 2, chapter 12). */
#ifndef EFI_ARCHITECTURAL_H
#define EFI_ARCHITECTURAL_H

#include <efi/tables.h>

/* 12.11; periods in units of 100 ns */
struct efi_timer_arch {
	/* NULL: none any more; it is called at TPL_HIGH_LEVEL */
	efi_status_t (EFIAPI *register_handler)(struct efi_timer_arch *, void (EFIAPI *handler)(u64 elapsed));
	efi_status_t (EFIAPI *set_timer_period)(struct efi_timer_arch *, u64 period);	/* 0: no ticks */
	efi_status_t (EFIAPI *get_timer_period)(struct efi_timer_arch *, u64 *period);
	efi_status_t (EFIAPI *generate_soft_interrupt)(struct efi_timer_arch *);
};

/* 12.3 */
struct efi_cpu_arch {
	void *flush_data_cache;
	void *enable_interrupt;
	void *disable_interrupt;
	void *get_interrupt_state;
	void *init;
	efi_status_t (EFIAPI *register_interrupt_handler)(struct efi_cpu_arch *, u64 vector,
							  void (EFIAPI *)(u64 vector, void *context));
};

#endif
