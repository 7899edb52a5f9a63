// SPDX-License-Identifier: Apache-2.0
/*
 * Certification paths (RFC 5280, 6) by libcrypto, which takes what manufacturers of TPMs have made
 * for twenty years: names whose sets are not in DER's order, critical certificate policies.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <crypto/chain.h>
#include <crypto/fault.h>

enum {
	/* 112 bits: RSA from 2048, no SHA-1 (SSL_CTX_set_security_level(3)). */
	SECURITY_LEVEL = 2,
};

struct pk_roots {
	X509_STORE *store;
};

int pk_roots_new(struct pk_roots **ret)
{
	struct pk_roots *roots = malloc(sizeof(*roots));

	if (!roots)
		return -ENOMEM;
	roots->store = X509_STORE_new();
	if (!roots->store) {
		free(roots);
		return pk_fault(-ENOMEM);
	}
	*ret = roots;
	return 0;
}

void pk_roots_free(struct pk_roots *roots)
{
	X509_STORE_free(roots->store);
	free(roots);
}

/* The certificate, all of whose size bytes belong to it, or NULL. */
static X509 *parse(const u8 *der, u32 size)
{
	const u8 *end = der;
	X509 *certificate = d2i_X509(NULL, &end, size);

	if (certificate && end != der + size) {
		X509_free(certificate);
		return NULL;
	}
	return certificate;
}

int pk_roots_add(struct pk_roots *roots, const u8 *der, u32 size)
{
	X509 *certificate = parse(der, size);
	int added;

	if (!certificate)
		return pk_fault(-EBADMSG);
	added = X509_STORE_add_cert(roots->store, certificate);
	X509_free(certificate);
	return added == 1 ? 0 : pk_fault(-EIO);
}

static bool seconds(const ASN1_TIME *time, int64_t *ret)
{
	struct tm parts = { 0 };

	if (ASN1_TIME_to_tm(time, &parts) != 1)
		return false;
	*ret = timegm(&parts);
	return true;
}

/* libcrypto accepts roots of X.509 version 1, which do not say that they are authorities. */
static bool may_issue(X509 *certificate)
{
	return (X509_get_extension_flags(certificate) & EXFLAG_CA) &&
	       (X509_get_key_usage(certificate) & X509v3_KU_KEY_CERT_SIGN);
}

static const char *check_path(STACK_OF(X509) *path, struct pk_path *found)
{
	for (int i = 0; i < sk_X509_num(path); i++) {
		X509 *certificate = sk_X509_value(path, i);
		int64_t start, end;

		found->depth = i;
		if (i && !may_issue(certificate))
			return "not a certificate of an authority";
		if (!seconds(X509_get0_notBefore(certificate), &start) ||
		    !seconds(X509_get0_notAfter(certificate), &end))
			return "dates cannot be read";
		if (!i || start > found->start)
			found->start = start;
		if (!i || end < found->end)
			found->end = end;
	}
	return NULL;
}

static int verify(X509_STORE_CTX *context, struct pk_path *ret)
{
	struct pk_path found = { 0 };

	if (X509_verify_cert(context) == 1) {
		found.fault = check_path(X509_STORE_CTX_get0_chain(context), &found);
	} else {
		int depth = X509_STORE_CTX_get_error_depth(context);

		found.fault = X509_verify_cert_error_string(X509_STORE_CTX_get_error(context));
		found.depth = depth > 0 ? depth : 0;
	}
	*ret = found;
	return pk_fault(found.fault ? -EPERM : 0);
}

static int verify_with(struct pk_roots *roots, X509 *leaf, STACK_OF(X509) *issuers, u32 depth, int64_t now,
		       struct pk_path *ret)
{
	X509_STORE_CTX *context = X509_STORE_CTX_new();
	X509_VERIFY_PARAM *parameters;
	int result = -ENOMEM;

	if (!context || X509_STORE_CTX_init(context, roots->store, leaf, issuers) != 1)
		goto out;
	parameters = X509_STORE_CTX_get0_param(context);
	X509_VERIFY_PARAM_set_time(parameters, now);
	X509_VERIFY_PARAM_set_depth(parameters, (int)depth);
	X509_VERIFY_PARAM_set_auth_level(parameters, SECURITY_LEVEL);
	/* Whom the operator trusts need not be a root. */
	X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_PARTIAL_CHAIN);
	result = verify(context, ret);
out:
	X509_STORE_CTX_free(context);
	return pk_fault(result);
}

int pk_roots_verify(struct pk_roots *roots, const u8 *certificates, const u32 *sizes, u32 count, u32 depth,
		    int64_t now, struct pk_path *ret)
{
	STACK_OF(X509) *issuers = sk_X509_new_null();
	X509 *leaf = NULL;
	int result = -EBADMSG;

	if (!issuers)
		return pk_fault(-ENOMEM);
	for (u32 i = 0; i < count; certificates += sizes[i++]) {
		X509 *certificate = parse(certificates, sizes[i]);

		if (!certificate)
			goto out;
		if (!i) {
			leaf = certificate;
		} else if (!sk_X509_push(issuers, certificate)) {
			X509_free(certificate);
			result = -ENOMEM;
			goto out;
		}
	}
	if (leaf)
		result = verify_with(roots, leaf, issuers, depth, now, ret);
out:
	X509_free(leaf);
	sk_X509_pop_free(issuers, X509_free);
	return pk_fault(result);
}
