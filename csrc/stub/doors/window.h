/* SPDX-License-Identifier: Apache-2.0 */
/* The window's bell. */
#ifndef PK_STUB_WINDOW_H
#define PK_STUB_WINDOW_H

#include <efi/types.h>

/* Another Linux is about to start, which has posted nothing. */
void pk_window_begin(void);
/* From Linux' world: serve what is posted. False: nothing was. */
bool pk_window_bell(void);

#endif
