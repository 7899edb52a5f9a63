# SPDX-License-Identifier: Apache-2.0
"""Authenticode signatures of PE images: who made them, and what firmware's db and dbx say to that.

As EDK II's DxeImageVerificationLib decides under Secure Boot (UEFI 2.10, 32.4.2): dbx forbids
first, by the image's digest or by a certificate on the way; then db must allow, by a certificate to
which a path leads, or by the digest.
"""

from __future__ import annotations

import errno
import hashlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pykexec._crypto import ffi, lib
from pykexec.efi.guid import Guid
from pykexec.efi.pe import Image, authenticode_digest
from pykexec.efi.signature_list import SHA256, X509, SignatureList
from pykexec.errors import FormatError

_TABLE_ENTRY = struct.Struct("<IHH")
_REVISION, _TYPE_PKCS7 = 0x0200, 0x0002
_ALGORITHMS = ("sha256", "sha384", "sha512", "sha1")
_OCTET_STRING = 4
_DER_MAX = 64 << 10
_NAME_MAX = 256
_CERTIFICATES_MAX = 32
X509_SHA256 = Guid.parse("3bd2a492-96c0-4079-b420-fcf98ef103ed")
"""EFI_CERT_X509_SHA256_GUID: the digest of what is signed in a certificate, and a time."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate; name is its subject's common name, "" where it has none."""

    name: str
    der: bytes

    @property
    def sha256(self) -> str:
        """The fingerprint, in hex."""
        return hashlib.sha256(self.der).hexdigest()

    def __str__(self) -> str:
        return self.name or f"certificate {self.sha256[:16]}"


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature; certificates are what it brings along, the signer's first."""

    pkcs7: bytes
    certificates: tuple[Certificate, ...]

    @property
    def signer(self) -> Certificate:
        """Who made it."""
        return self.certificates[0]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What firmware would say of an image under Secure Boot.

    allowed_by and forbidden_by are a certificate, the word "digest", or None; of several
    signatures the first that db allows counts.
    """

    signatures: tuple[Signature, ...]
    allowed_by: Certificate | str | None
    forbidden_by: Certificate | str | None


def certificate(der: bytes) -> Certificate:
    """A certificate by its bytes, whatever they are: firmware does not look either until it has
    to.
    """
    out = ffi.new("char[]", _NAME_MAX)
    code = lib.pk_certificate_name(ffi.from_buffer(der), len(der), out, _NAME_MAX)
    return Certificate("" if code else bytes(ffi.string(out)).decode("utf-8", "replace"), der)


def signatures(data: bytes, image: Image, source: str) -> tuple[Signature, ...]:
    """The image's signatures that are over its own digest; FormatError, which names source, for a
    table that is none, or for one that is over another image.
    """
    found = []
    for pkcs7 in _table(data, image, source):
        content = _read(lib.pk_authenticode_content, pkcs7)
        if content is None:
            raise FormatError(f"{source}: a signature that is no Authenticode")
        if not any(content.endswith(digest) for digest in _digests(data, image)):
            raise FormatError(f"{source}: signed is another image: its digest differs")
        certificates = tuple(_certificates(pkcs7))
        if not certificates:
            raise FormatError(f"{source}: a signature without its signer's certificate")
        found.append(Signature(pkcs7, certificates))
    return tuple(found)


def appraise(
    data: bytes,
    image: Image,
    db: Sequence[SignatureList],
    dbx: Sequence[SignatureList],
    source: str,
) -> Verdict:
    """Judge an image; FormatError as of signatures()."""
    found = signatures(data, image, source)
    digest = authenticode_digest(data, image)
    forbidden: Certificate | str | None = "digest" if digest in _values(dbx, SHA256) else None
    forbidden = forbidden or next((c for s in found if (c := _revoked(s, dbx))), None)
    allowed = next((c for s in found if (c := _vouched(s, _values(db, X509)))), None)
    if allowed is None and digest in _values(db, SHA256):
        return Verdict(found, "digest", forbidden)
    return Verdict(found, allowed, forbidden)


def leads_to(signature: Signature, anchor: bytes) -> bool:
    """Is the signature right, and does a path lead from its signer to anchor (DER)?"""
    pkcs7 = signature.pkcs7
    return not lib.pk_authenticode_verify(
        ffi.from_buffer(pkcs7), len(pkcs7), ffi.from_buffer(anchor), len(anchor)
    )


def _vouched(signature: Signature, anchors: Sequence[bytes]) -> Certificate | None:
    return next((certificate(each) for each in anchors if leads_to(signature, each)), None)


def _revoked(signature: Signature, dbx: Sequence[SignatureList]) -> Certificate | None:
    digests = {value[: hashlib.sha256().digest_size] for value in _values(dbx, X509_SHA256)}
    for each in signature.certificates:
        if _signed_part_digest(each.der) in digests:
            return each
    return _vouched(signature, _values(dbx, X509))


def _signed_part_digest(der: bytes) -> bytes:
    """SHA-256 of the TBSCertificate (RFC 5280, 4.1), the first element of the certificate."""
    start, _ = _element(der, 0)
    _, end = _element(der, start)
    return hashlib.sha256(der[start:end]).digest()


def _element(der: bytes, offset: int) -> tuple[int, int]:
    """Where the contents of a DER element begin and end; libcrypto has written it."""
    length, start = der[offset + 1], offset + 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[offset + 2 : start], "big")
    return start, start + length


def _values(lists: Sequence[SignatureList], kind: Guid) -> list[bytes]:
    return [value for each in lists if each.type == kind for value in each.values]


def _digests(data: bytes, image: Image) -> Iterator[bytes]:
    """With the tag and length that stand before them in what is signed."""
    for algorithm in _ALGORITHMS:
        digest = authenticode_digest(data, image, algorithm)
        yield bytes((_OCTET_STRING, len(digest))) + digest


def _table(data: bytes, image: Image, source: str) -> Iterator[bytes]:
    """PKCS #7 of each WIN_CERTIFICATE (PE format, "The Attribute Certificate Table")."""
    offset, end = image.certificates_offset, image.certificates_offset + image.certificates_size
    while end - offset >= _TABLE_ENTRY.size:
        size, revision, type_ = _TABLE_ENTRY.unpack_from(data, offset)
        if not _TABLE_ENTRY.size < size <= end - offset:
            raise FormatError(f"{source}: offset {offset:#x}: certificate of {size} bytes")
        if (revision, type_) == (_REVISION, _TYPE_PKCS7):
            yield data[offset + _TABLE_ENTRY.size : offset + size]
        offset += size + -size % 8


def _certificates(pkcs7: bytes) -> Iterator[Certificate]:
    for index in range(_CERTIFICATES_MAX):
        der = _read(lib.pk_authenticode_certificate, pkcs7, index)
        if der is None:
            return
        yield certificate(der)


def _read(function: object, pkcs7: bytes, *more: int) -> bytes | None:
    """What a function writes into a buffer; None where it has nothing."""
    assert callable(function)
    out, size = ffi.new("uint8_t[]", _DER_MAX), ffi.new("uint32_t *")
    code = function(ffi.from_buffer(pkcs7), len(pkcs7), *more, out, _DER_MAX, size)
    if code in (-errno.EINVAL, -errno.ENOENT):
        return None
    if code:
        raise FormatError(f"signature: more than {_DER_MAX} bytes")
    return bytes(ffi.buffer(out, size[0]))
