# SPDX-License-Identifier: Apache-2.0
"""A TPM manufacturer's certificate authority, the same one in every process."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

# TCG EK Credential Profile 2.5, 3.1 and 3.2.
EK_EKU = x509.ObjectIdentifier("2.23.133.8.1")
MANUFACTURER = x509.ObjectIdentifier("2.23.133.2.1")
MODEL = x509.ObjectIdentifier("2.23.133.2.2")
VERSION = x509.ObjectIdentifier("2.23.133.2.3")

# RFC 5280, 4.2.1.4: STMicroelectronics, Infineon and Intel have it in their authorities, critical.
ANY_POLICY = x509.CertificatePolicies(
    [x509.PolicyInformation(x509.ObjectIdentifier("2.5.29.32.0"), None)]
)
START, END = datetime(2024, 1, 1, tzinfo=UTC), datetime(2044, 1, 1, tzinfo=UTC)

_ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")

type_of_public_key = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


def p256_key(seed: str) -> ec.EllipticCurvePrivateKey:
    """The P-256 key that belongs to seed."""
    return ec.derive_private_key(_scalar(seed), ec.SECP256R1())


def p384_key(seed: str) -> ec.EllipticCurvePrivateKey:
    """The P-384 key that belongs to seed."""
    return ec.derive_private_key(_scalar(seed), ec.SECP384R1())


def _scalar(seed: str) -> int:
    # 248 bits: below the order of both curves.
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[1:], "big") | 1


def device_name(manufacturer: str = "id:504B5800", version: str = "id:00010002") -> x509.Name:
    """The directory name of an EK certificate's subject alternative name."""
    pairs = ((MANUFACTURER, manufacturer), (MODEL, "simulated"), (VERSION, version))
    return x509.Name([x509.NameAttribute(*pair) for pair in pairs])


@dataclass(frozen=True)
class EkProfile:
    """What an EK certificate says, as it should be; tests replace what should not."""

    eku: x509.ObjectIdentifier | None = EK_EKU
    device: x509.Name | None = field(default_factory=device_name)
    ca: bool = False
    not_before: datetime = START
    not_after: datetime = END
    key_usage: bool = True
    key_agreement: bool | None = None
    unknown_critical: bool = False
    critical_policies: bool = False
    subject: str = ""


@dataclass(frozen=True)
class Authority:
    """Who issues certificates; chain is its own certificate and those above, without the root."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    chain: tuple[bytes, ...] = ()

    def issue_ek(self, public: type_of_public_key, profile: EkProfile | None = None) -> bytes:
        """An EK certificate, DER."""
        profile = profile or EkProfile()
        name = [x509.NameAttribute(NameOID.COMMON_NAME, profile.subject)] if profile.subject else []
        builder = _builder(
            x509.Name(name), self.certificate.subject, public, profile.not_before, profile.not_after
        )
        builder = builder.add_extension(x509.BasicConstraints(profile.ca, None), critical=True)
        agrees = isinstance(public, ec.EllipticCurvePublicKey)
        if profile.key_agreement is not None:
            agrees = profile.key_agreement
        if profile.key_usage:
            builder = builder.add_extension(_key_usage(agrees), critical=True)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = builder.add_extension(issuer, critical=False)
        if profile.eku is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([profile.eku]), critical=False)
        if profile.device is not None:
            names = x509.SubjectAlternativeName([x509.DirectoryName(profile.device)])
            builder = builder.add_extension(names, critical=not name)
        if profile.critical_policies:
            builder = builder.add_extension(ANY_POLICY, critical=True)
        if profile.unknown_critical:
            unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\5\0")
            builder = builder.add_extension(unknown, critical=True)
        return signed(builder, self.key).public_bytes(Encoding.DER)

    def intermediate(
        self,
        name: str,
        *,
        path_length: int | None = 0,
        signs: bool = True,
        critical: x509.ExtensionType | None = None,
    ) -> Authority:
        """An authority below this one; without signs its key is not for certificates."""
        issuer = (self.certificate.subject, self.key)
        certificate, key = _authority(name, issuer, path_length, signs, critical)
        der = certificate.public_bytes(Encoding.DER)
        return Authority(key, certificate, (der, *self.chain))


def _key_usage(agrees: bool) -> x509.KeyUsage:
    usage = dict.fromkeys(
        ("digital_signature", "content_commitment", "data_encipherment", "key_cert_sign"), False
    )
    return x509.KeyUsage(
        **usage,
        key_encipherment=not agrees,
        key_agreement=agrees,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: type_of_public_key,
    start: datetime = START,
    end: datetime = END,
) -> x509.CertificateBuilder:
    numbers = x509.SubjectKeyIdentifier.from_public_key(public).digest
    builder = x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=public)
    serial = int.from_bytes(numbers[:8], "big") | 1
    return builder.serial_number(serial).not_valid_before(start).not_valid_after(end)


def signed(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """The certificate, the same bytes each time."""
    return builder.sign(key, hashes.SHA256(), ecdsa_deterministic=True)


def _authority(
    name: str,
    issuer: tuple[x509.Name, ec.EllipticCurvePrivateKey] | None,
    path_length: int | None,
    signs: bool = True,
    critical: x509.ExtensionType | None = None,
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = p256_key(f"authority {name}")
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    public = key.public_key()
    issuer_name, signer = issuer or (subject, key)
    builder = _builder(subject, issuer_name, public)
    builder = builder.add_extension(x509.BasicConstraints(True, path_length), critical=True)
    usage = x509.KeyUsage(not signs, False, False, False, False, signs, signs, False, False)
    builder = builder.add_extension(usage, critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
    if critical is not None:
        builder = builder.add_extension(critical, critical=True)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    return signed(builder.add_extension(identifier, False), signer), key


def out_of_order(authority: Authority, public: type_of_public_key) -> tuple[bytes, bytes]:
    """A root of authority's key and an EK certificate by it, DER, that name it by a set of two
    attributes, the larger one first.
    """
    attributes = [
        x509.NameAttribute(NameOID.COMMON_NAME, "A TPM Root"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "A manufacturer"),
    ]
    name = x509.Name([x509.RelativeDistinguishedName(attributes)])
    builder = _builder(name, name, authority.key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
    named = signed(builder, authority.key)
    leaf = x509.load_der_x509_certificate(Authority(authority.key, named).issue_ek(public))
    first, second = (_element(0x30, _attribute(attribute)) for attribute in attributes)
    found = []
    for certificate in (named, leaf):
        tbs = certificate.tbs_certificate_bytes
        assert first + second in tbs
        tbs = tbs.replace(first + second, second + first)
        signature = authority.key.sign(tbs, ec.ECDSA(hashes.SHA256()))
        found.append(_element(0x30, tbs + _ECDSA_SHA256 + _element(3, b"\0" + signature)))
    return found[0], found[1]


def _attribute(attribute: x509.NameAttribute[str]) -> bytes:
    oid = bytes([0x55, 4, int(attribute.oid.dotted_string.rpartition(".")[2])])
    return _element(6, oid) + _element(0x0C, attribute.value.encode())


def _element(tag: int, contents: bytes) -> bytes:
    size = len(contents)
    if size < 0x80:
        return bytes([tag, size]) + contents
    return bytes([tag, 0x82]) + size.to_bytes(2) + contents


@cache
def root(name: str = "Test TPM root") -> Authority:
    """A root authority; the name makes its key."""
    certificate, key = _authority(name, None, None)
    return Authority(key, certificate)


def root_der() -> bytes:
    """What a verifier is told to trust."""
    return root().certificate.public_bytes(Encoding.DER)


@cache
def manufacturer() -> Authority:
    """Who issues the simulated machines' certificates, below root()."""
    return root().intermediate("Test TPM manufacturer")
