/* SPDX-License-Identifier: Apache-2.0 */
/* Certification paths (RFC 5280, 6) by libcrypto: from a certificate to one that is trusted. */
#ifndef PK_CRYPTO_CHAIN_H
#define PK_CRYPTO_CHAIN_H

#include <pykexec/types.h>

struct pk_roots;

/* When all of a path is valid, in seconds since 1970; or why there is none, and of which certificate of it. */
struct pk_path {
	int64_t start;
	int64_t end;
	const char *fault;
	u32 depth;
};

int pk_roots_new(struct pk_roots **ret);

void pk_roots_free(struct pk_roots *roots);

/* Trust a certificate (DER), a root or an intermediate one; -EBADMSG if it is none. */
int pk_roots_add(struct pk_roots *roots, const u8 *der, u32 size);

/*
 * Does a path lead from the first certificate at now to a trusted one? sizes are those of count
 * certificates (DER), one behind the other; all but the first may be on the path, at most depth
 * between the first and the trusted one. -EBADMSG for what is no certificate; -EPERM where no path
 * leads: *ret is written then, too.
 * May be called by several threads.
 */
int pk_roots_verify(struct pk_roots *roots, const u8 *certificates, const u32 *sizes, u32 count, u32 depth,
		    int64_t now, struct pk_path *ret);

#endif
