/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers for the firmware's handles, and the one way from a number to an interface.
 *
 * A number means one handle with one device path and one interface, for good: when any of
 * them goes, the number goes too and is never given out again, even if all three come
 * again at the same addresses. An interface is borrowed, never kept: whoever needs it again
 * asks again.
 */
#ifndef PK_STUB_IDENTITY_H
#define PK_STUB_IDENTITY_H

#include <efi/protocols.h>

struct pk_interface {
	efi_handle_t handle;
	union {
		void *any;
		struct efi_block_io *block;
		struct efi_simple_network *network;
		struct efi_simple_file_system *volume;
		struct efi_pci_io *pci;
		const struct efi_device_path *path;
	};
	efi_tpl_t tpl;	/* of whoever borrowed it */
};

/*
 * Until it is returned nothing comes or goes but by what is called meanwhile: drivers drop
 * devices at TPL_CALLBACK, and that is where we are. EFI_NOT_FOUND: the number means nothing
 * any more, or has no such interface.
 */
efi_status_t pk_interface_borrow(u32 number, const efi_guid_t *protocol, struct pk_interface *ret);
void pk_interface_return(const struct pk_interface *interface);

/* Have drivers let go of the number's interface and look again, as when its medium had changed. It stays the same. */
efi_status_t pk_interface_reinstall(u32 number, const efi_guid_t *protocol);

/* Something may have gone: what was found out so far is looked up anew. */
void pk_interfaces_forget(void);

/* The same hold for lists of handles and what is read of them. */
efi_tpl_t pk_handles_hold(void);
void pk_handles_release(efi_tpl_t tpl);

/* While handles are held: the number of one that is listed, path as the firmware says (or NULL). 0: no more room. */
u32 pk_handle_number(efi_handle_t handle, const void *path);
/* While handles are held: these are all there are; numbers of others are retired. */
void pk_handles_sweep(efi_handle_t *present, u64 nr_present);

/* What is known of a number's handle: gone with the number. */
struct pk_handle_notes {
	u8 kind;	/* services/timers.c */
	bool written;	/* services/block.c */
};
/* NULL for a number that means nothing. Also from Linux' world. */
struct pk_handle_notes *pk_handle_notes(u32 number);
/* The number after number, 0 behind the last; from 0 on it walks through all of them. */
u32 pk_handle_after(u32 number);

/* Watch what comes; tell is called for every disk and NIC. */
void pk_handles_watch(void (*tell)(void));
void pk_handles_unwatch(void);

#endif
