/* SPDX-License-Identifier: Apache-2.0 */
/* A word with the BMC, by its keyboard controller style interface (IPMI 2.0, 9). */
#ifndef PK_STUB_KCS_H
#define PK_STUB_KCS_H

#include <common/ipmi.h>

/*
 * Ask size bytes; the answer's go to answer, which has room for capacity of them: what is more is
 * read and dropped. False where the BMC is not there, breaks off, or takes longer than two seconds.
 */
bool pk_kcs_ask(const struct pk_ipmi *bmc, const u8 *request, u32 size, u8 *answer, u32 capacity, u32 *ret_size);

#endif
