/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for key material: locked, in no core dump, not handed to children, wiped when it goes. */
#ifndef PK_NATIVE_SECRET_H
#define PK_NATIVE_SECRET_H

#include <pykexec/types.h>

/* size zero bytes, whole pages of their own; -errno where they cannot be locked. */
int pk_secret_alloc(u64 size, void **ret);

void pk_secret_wipe(void *data, u64 size);

/* Wipes, too. */
void pk_secret_free(void *data, u64 size);

#endif
