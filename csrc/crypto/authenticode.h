/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Authenticode signatures (PKCS #7 with SpcIndirectDataContent) by libcrypto, judged as EDK II's
 * AuthenticodeVerify() judges them; each gives 0 or -errno, -EINVAL for what is no such signature.
 */
#ifndef PK_CRYPTO_AUTHENTICODE_H
#define PK_CRYPTO_AUTHENTICODE_H

#include <pykexec/types.h>

/* What is signed, into out: the digest of the image stands at its end. *ret are its bytes. */
int pk_authenticode_content(const u8 *pkcs7, u32 size, u8 *out, u32 room, u32 *ret);

/* Certificate number index (DER), the signer's being 0; -ENOENT behind the last, -ENOSPC if it needs more room. */
int pk_authenticode_certificate(const u8 *pkcs7, u32 size, u32 index, u8 *out, u32 room, u32 *ret);

/*
 * Did the signer sign the content, and does a path lead from him to anchor (DER), at any time and for
 * any purpose? -EPERM if not.
 */
int pk_authenticode_verify(const u8 *pkcs7, u32 size, const u8 *anchor, u32 anchor_size);

/* The common name of a certificate's subject, as UTF-8 with a NUL; -ENOENT if it has none. */
int pk_certificate_name(const u8 *der, u32 size, char *out, u32 room);

#endif
