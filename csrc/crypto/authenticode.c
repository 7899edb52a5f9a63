// SPDX-License-Identifier: Apache-2.0
/* Authenticode signatures by libcrypto. Firmware has no clock that it trusts: time is not looked at. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include <openssl/objects.h>
#include <openssl/pkcs7.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <crypto/authenticode.h>
#include <crypto/fault.h>

static const char INDIRECT_DATA[] = "1.3.6.1.4.1.311.2.1.4";

static bool is_indirect_data(const ASN1_OBJECT *type)
{
	char text[sizeof(INDIRECT_DATA) + 1];

	return OBJ_obj2txt(text, sizeof(text), type, 1) == (int)sizeof(INDIRECT_DATA) - 1 &&
	       !strcmp(text, INDIRECT_DATA);
}

/* NULL for what is no Authenticode signature. Bytes behind it are the table's padding. */
static PKCS7 *parse(const u8 *data, u32 size)
{
	const u8 *end = data;
	PKCS7 *found = size > INT_MAX ? NULL : d2i_PKCS7(NULL, &end, size);
	PKCS7 *content;

	if (!found)
		return NULL;
	content = PKCS7_type_is_signed(found) && found->d.sign ? found->d.sign->contents : NULL;
	if (content && content->type && is_indirect_data(content->type) && content->d.other &&
	    content->d.other->type == V_ASN1_SEQUENCE)
		return found;
	PKCS7_free(found);
	return NULL;
}

/* What is digested: the sequence without its tag and length. */
static bool inner(PKCS7 *signature, const u8 **ret, long *size)
{
	const ASN1_STRING *sequence = signature->d.sign->contents->d.other->value.sequence;
	int tag, class;

	*ret = ASN1_STRING_get0_data(sequence);
	return !(ASN1_get_object(ret, size, &tag, &class, ASN1_STRING_length(sequence)) & 0x80);
}

static int copy(const void *data, size_t size, u8 *out, u32 room, u32 *ret)
{
	if (size > room)
		return -ENOSPC;
	memcpy(out, data, size);
	*ret = size;
	return 0;
}

int pk_authenticode_content(const u8 *pkcs7, u32 size, u8 *out, u32 room, u32 *ret)
{
	PKCS7 *signature = parse(pkcs7, size);
	int code = -EINVAL;
	const u8 *data;
	long length;

	if (signature && inner(signature, &data, &length))
		code = copy(data, length, out, room, ret);
	PKCS7_free(signature);
	return pk_fault(code);
}

static int export(X509 *certificate, u8 *out, u32 room, u32 *ret)
{
	u8 *der = NULL;
	int size = i2d_X509(certificate, &der);
	int code = size < 0 ? -EINVAL : copy(der, size, out, room, ret);

	OPENSSL_free(der);
	return code;
}

/* The signer comes first, wherever he stands among the others. */
static X509 *pick(const STACK_OF(X509) *all, X509 *signer, u32 index)
{
	if (!index)
		return signer;
	for (int i = 0; i < sk_X509_num(all); i++) {
		X509 *other = sk_X509_value(all, i);

		if (X509_cmp(other, signer) && !--index)
			return other;
	}
	return NULL;
}

int pk_authenticode_certificate(const u8 *pkcs7, u32 size, u32 index, u8 *out, u32 room, u32 *ret)
{
	PKCS7 *signature = parse(pkcs7, size);
	STACK_OF(X509) *signers;
	X509 *found;
	int code = -EINVAL;

	if (!signature)
		return pk_fault(code);
	signers = PKCS7_get0_signers(signature, NULL, 0);
	if (signers && sk_X509_num(signers)) {
		found = pick(signature->d.sign->cert, sk_X509_value(signers, 0), index);
		code = found ? export(found, out, room, ret) : -ENOENT;
	}
	sk_X509_free(signers);
	PKCS7_free(signature);
	return pk_fault(code);
}

/* Any certificate may be an anchor, no root needed: db holds intermediate ones. */
static X509_STORE *store_of(const u8 *anchor, u32 size)
{
	X509_STORE *store = X509_STORE_new();
	const u8 *end = anchor;
	X509 *certificate = size > INT_MAX ? NULL : d2i_X509(NULL, &end, size);

	if (store && certificate && X509_STORE_add_cert(store, certificate) == 1 &&
	    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_NO_CHECK_TIME) == 1 &&
	    X509_STORE_set_purpose(store, X509_PURPOSE_ANY) == 1) {
		X509_free(certificate);
		return store;
	}
	X509_free(certificate);
	X509_STORE_free(store);
	return NULL;
}

int pk_authenticode_verify(const u8 *pkcs7, u32 size, const u8 *anchor, u32 anchor_size)
{
	PKCS7 *signature = parse(pkcs7, size);
	X509_STORE *store = store_of(anchor, anchor_size);
	BIO *content = NULL;
	int code = -EINVAL;
	const u8 *data;
	long length;

	if (signature && store && inner(signature, &data, &length)) {
		content = BIO_new_mem_buf(data, length);
		code = content && PKCS7_verify(signature, NULL, store, content, NULL, PKCS7_BINARY) == 1 ? 0 : -EPERM;
	}
	BIO_free(content);
	X509_STORE_free(store);
	PKCS7_free(signature);
	return pk_fault(code);
}

int pk_certificate_name(const u8 *der, u32 size, char *out, u32 room)
{
	const u8 *end = der;
	X509 *certificate = size > INT_MAX ? NULL : d2i_X509(NULL, &end, size);
	unsigned char *text = NULL;
	const X509_NAME *subject;
	int index, length, code = -ENOENT;

	if (!certificate)
		return pk_fault(-EINVAL);
	subject = X509_get_subject_name(certificate);
	index = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	if (index >= 0) {
		length = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, index)));
		code = length < 0 ? -EINVAL : (u32)length >= room ? -ENOSPC : 0;
		if (!code) {
			memcpy(out, text, length);
			out[length] = '\0';
		}
	}
	OPENSSL_free(text);
	X509_free(certificate);
	return pk_fault(code);
}
