/* SPDX-License-Identifier: Apache-2.0 */
/* The window: descriptors that Linux' user space posts in shared memory. */
#ifndef PK_STUB_WINDOW_H
#define PK_STUB_WINDOW_H

#include <efi/types.h>

/* Take memory for the window; none is no error. */
void pk_window_allocate(void);
void pk_window_release(void);
/* Linux has ended: sectors and frames that passed through are nobody's business any more. */
void pk_window_wipe(void);
/* All that Linux can write to, but for the header. */
void pk_window_wipe_all(void);
/* From Linux' world: serve what is posted. False: nothing was. */
bool pk_window_bell(void);

#endif
