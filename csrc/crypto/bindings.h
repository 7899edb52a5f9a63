/* SPDX-License-Identifier: Apache-2.0 */
/* All that Python sees, as pykexec._crypto; pykexec/_build.py runs it through the preprocessor. */
#ifndef PK_CRYPTO_BINDINGS_H
#define PK_CRYPTO_BINDINGS_H

#include <pykexec/types.h>

#include <crypto/aes.h>
#include <crypto/authenticode.h>
#include <crypto/chain.h>
#include <crypto/ecdh.h>
#include <crypto/ed25519.h>
#include <crypto/kdf.h>
#include <crypto/luks.h>
#include <crypto/rsa.h>

#ifndef PK_CFFI
#include <errno.h>
#endif

#endif
