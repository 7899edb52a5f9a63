/* SPDX-License-Identifier: Apache-2.0 */
/* What libcrypto leaves behind when it fails. */
#ifndef PK_CRYPTO_FAULT_H
#define PK_CRYPTO_FAULT_H

#include <openssl/err.h>

/* code; Python's ssl module, which has the same queue of errors, must not find ours in it. */
static inline int pk_fault(int code)
{
	ERR_clear_error();
	return code;
}

#endif
