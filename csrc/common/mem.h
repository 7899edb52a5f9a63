/* SPDX-License-Identifier: Apache-2.0 */
/* The functions that the compiler may call anyway; stub and resume image bring their own. */
#ifndef PK_COMMON_MEM_H
#define PK_COMMON_MEM_H

#include <stddef.h>

void *memcpy(void *dest, const void *src, size_t size);
void *memset(void *dest, int value, size_t size);
int memcmp(const void *a, const void *b, size_t size);

#endif
