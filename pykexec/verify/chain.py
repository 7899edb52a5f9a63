# SPDX-License-Identifier: Apache-2.0
"""EK certificates: from the certificate in a TPM to a root that the verifier was told to trust.

TCG EK Credential Profile for TPM Family 2.0, 2.5, chapter 3. Paths are built and checked by path
(RFC 5280); what makes a certificate one of an EK is checked here.
Nothing is fetched: issuers come with the evidence or are configured as roots, and so there is no
revocation but taking a root away.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from threading import Lock
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID, ObjectIdentifier

from pykexec.errors import FormatError
from pykexec.verify.certificates import load
from pykexec.verify.keys import EkKey
from pykexec.verify.path import DEPTH_MAX, Anchors, PathError, Validity
from pykexec.verify.unreadable import UNREADABLE

log = logging.getLogger(__name__)

EK_CERTIFICATE = ObjectIdentifier("2.23.133.8.1")
"""tcg-kp-EKCertificate, the extended key usage (3.5.11)."""
BAD_CERTIFICATE, OTHER_KEY = "ek.certificate", "ek.certificate.key"
"""Codes of what is no certificate that can be read, and of one that is of another key."""
_DEVICE = {
    "manufacturer": ObjectIdentifier("2.23.133.2.1"),
    "model": ObjectIdentifier("2.23.133.2.2"),
    "version": ObjectIdentifier("2.23.133.2.3"),
}
_Extension = TypeVar("_Extension", bound=x509.ExtensionType)
_CACHED = 8192  # chains, some KiB each
_ROOTS_CACHED = 8
_KNOWN_CRITICAL = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    # Nobody asks for a policy here, so any will do (RFC 5280, 6.1.1): ST, Infineon and Intel have
    # them critical.
    ExtensionOID.CERTIFICATE_POLICIES,
}


class ChainError(FormatError):
    """An EK certificate does not vouch for the EK; code is that of the finding."""

    def __init__(self, code: str, fault: str) -> None:
        super().__init__(fault)
        self.code = code


@dataclass(frozen=True, slots=True)
class EkCertificate:
    """What an EK certificate says; the texts are whatever its issuer wrote."""

    subject: str
    issuer: str
    serial: str
    not_after: datetime
    manufacturer: str
    model: str
    version: str

    def to_json(self) -> dict[str, object]:
        """As claims have it."""
        return {
            "subject": self.subject,
            "issuer": self.issuer,
            "serial": self.serial,
            "not_after": self.not_after.isoformat(),
            "manufacturer": self.manufacturer,
            "model": self.model,
            "version": self.version,
        }


@dataclass(frozen=True, slots=True)
class _Chain:
    """A chain that was found good, and when it is so."""

    certificate: EkCertificate
    public: bytes
    validity: Validity


class EkRoots:
    """Certificates that are trusted to vouch for EKs, roots or intermediate ones, and the chains
    that were found to lead there: a machine that comes back costs no verification anew.

    May be used by several threads.
    """

    def __init__(self, certificates: Iterable[bytes]) -> None:
        self._anchors = Anchors()
        self._trusted = 0
        for der in certificates:
            try:
                self._anchors.add(der)
                self._trusted += 1
            except FormatError as error:
                log.warning("root of EK certificates: %s: %s", der[:16].hex(), error)
        self._chains: dict[bytes, _Chain] = {}
        self._lock = Lock()

    def verify(self, certificates: tuple[bytes, ...], key: EkKey, now: datetime) -> EkCertificate:
        """The EK certificate, first of certificates (DER), if a path leads from it to a root at
        now (aware), with what else is there as intermediates; ChainError if not.
        """
        name = _digest(certificates)
        public = _public_bytes(key)
        chain = self._chains.get(name)
        if chain is not None and chain.validity.holds(now):
            _check_key(chain.public, public)
            return chain.certificate
        chain = self._verify(certificates, public, now)
        with self._lock:
            if len(self._chains) >= _CACHED:
                # The oldest: no attacker gets here without a genuine certificate.
                self._chains.pop(next(iter(self._chains)))
            self._chains[name] = chain
        return chain.certificate

    def _verify(self, certificates: tuple[bytes, ...], public: bytes, now: datetime) -> _Chain:
        used = certificates[: 1 + DEPTH_MAX]
        leaf, *_ = (_load(der) for der in used)
        # Before anything else: nothing that it says counts for another key.
        _check_key(_certified_key(leaf), public)
        certificate = _check_leaf(leaf)
        if not self._trusted:
            raise ChainError("ek.chain", "no root is configured that could vouch for any EK")
        try:
            validity = self._anchors.verify(used, now)
        except PathError as error:
            raise ChainError(*_why(leaf, now, error)) from None
        return _Chain(certificate, public, validity)


@lru_cache(_ROOTS_CACHED)
def ek_roots(certificates: tuple[bytes, ...]) -> EkRoots:
    """The roots of these certificates (DER), the same ones at each call; what is no certificate is
    told, and vouches for nobody.
    """
    return EkRoots(certificates)


def _public_bytes(key: EkKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _load(der: bytes) -> x509.Certificate:
    try:
        return load(der)
    except UNREADABLE as error:
        raise ChainError(BAD_CERTIFICATE, f"no X.509 certificate: {error}") from None


def _digest(certificates: tuple[bytes, ...]) -> bytes:
    """What a chain is kept by: junk that is sent along with a certificate is not kept itself."""
    sizes = b"".join(len(der).to_bytes(4, "big") for der in certificates)
    return hashlib.sha256(b"".join((sizes, *certificates))).digest()


def _certified_key(leaf: x509.Certificate) -> bytes:
    """SubjectPublicKeyInfo (DER)."""
    try:
        public = leaf.public_key()
    except UNREADABLE as error:
        raise ChainError(BAD_CERTIFICATE, f"the EK certificate: {error}") from None
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _check_key(certified: bytes, key: bytes) -> None:
    if certified != key:
        raise ChainError(OTHER_KEY, "the EK certificate is that of another key")


def _why(leaf: x509.Certificate, now: datetime, error: PathError) -> tuple[str, str]:
    """Code and text; the library tells one reason of many, and not of which certificate."""
    start, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if not start <= now <= end:
        text = f"the EK certificate is valid from {start.isoformat()} to {end.isoformat()}"
        return "ek.certificate.validity", f"{text}, now it is {now.isoformat()}"
    issuer = leaf.issuer.rfc4514_string()
    return "ek.chain", f"no path from the EK certificate (by {issuer}) to a root: {error}"


def _check_leaf(leaf: x509.Certificate) -> EkCertificate:
    """What the certificate says, if it is one of an EK."""
    try:
        extensions = leaf.extensions
        public = leaf.public_key()
        subject, issuer = leaf.subject.rfc4514_string(), leaf.issuer.rfc4514_string()
    except UNREADABLE as error:
        raise ChainError(BAD_CERTIFICATE, f"the EK certificate: {error}") from None
    _check_usage(extensions, isinstance(public, ec.EllipticCurvePublicKey))
    device = _device(extensions)
    serial = f"{leaf.serial_number:x}"
    return EkCertificate(subject, issuer, serial, leaf.not_valid_after_utc, **device)


def _check_usage(extensions: x509.Extensions, agrees: bool) -> None:
    for extension in extensions:
        if extension.critical and extension.oid not in _KNOWN_CRITICAL:
            oid = extension.oid.dotted_string
            raise ChainError("ek.certificate.critical", f"critical extension {oid} is not known")
    basic = _find(extensions, x509.BasicConstraints)
    if basic is not None and basic.ca:
        raise ChainError("ek.certificate.ca", "the EK certificate is one of an authority")
    purposes = _find(extensions, x509.ExtendedKeyUsage)
    if purposes is None or EK_CERTIFICATE not in purposes:
        text = f"the certificate is not for an EK (no key purpose {EK_CERTIFICATE.dotted_string})"
        raise ChainError("ek.certificate.eku", text)
    usage = _find(extensions, x509.KeyUsage)
    if usage is None or not (usage.key_agreement if agrees else usage.key_encipherment):
        word = "agreement" if agrees else "encipherment"
        raise ChainError("ek.certificate.usage", f"the EK certificate is not for key {word}")


def _find(extensions: x509.Extensions, kind: type[_Extension]) -> _Extension | None:
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _device(extensions: x509.Extensions) -> dict[str, str]:
    """Manufacturer, model and version of the TPM (3.1.2), all of which must be there."""
    names = _find(extensions, x509.SubjectAlternativeName)
    directories = names.get_values_for_type(x509.DirectoryName) if names is not None else []
    found = {}
    for key, oid in _DEVICE.items():
        values = [
            attribute.value
            for directory in directories
            for attribute in directory.get_attributes_for_oid(oid)
        ]
        if len(values) != 1 or not isinstance(values[0], str):
            raise ChainError(
                "ek.certificate.san", f"the EK certificate does not name the TPM's {key} once"
            )
        found[key] = values[0]
    return found
