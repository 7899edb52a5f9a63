# SPDX-License-Identifier: Apache-2.0
"""A certificate authority for one demo, and the server's certificate by it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pykexec.whole import replace

# The emulated machine's clock has whole seconds; nobody's clock is that wrong.
_BACK = timedelta(hours=1)
_VALID = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Tls:
    """Files (PEM) of the server's certificate and its key; authority is who vouches for it, PEM."""

    certificate: Path
    key: Path
    authority: str


def make_tls(directory: Path, *addresses: str) -> Tls:
    """Keys and certificates for a server at these IP addresses; the authority's key is forgotten.

    authority.pem, server.pem and server.key come to lie in directory.
    """
    authority_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pykexec demo authority")])
    authority = _sign(
        _certificate(name, name, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True),
        authority_key,
    )
    server_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, addresses[0])])
    names = [x509.IPAddress(ip_address(address)) for address in addresses]
    server = _sign(
        _certificate(server_name, name, server_key.public_key())
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True),
        authority_key,
    )
    tls = Tls(directory / "server.pem", directory / "server.key", _pem(authority).decode())
    (directory / "authority.pem").write_text(tls.authority)
    tls.certificate.write_bytes(_pem(server))
    key = server_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_private(tls.key, key)
    return tls


def write_private(path: Path, data: bytes) -> None:
    """A file that nobody but its owner can read, at any time."""
    replace(path, data, 0o600)


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key)
    builder = builder.serial_number(x509.random_serial_number())
    identifier = x509.SubjectKeyIdentifier.from_public_key(key)
    return (
        builder.not_valid_before(now - _BACK)
        .not_valid_after(now + _VALID)
        .add_extension(identifier, critical=False)
    )


def _sign(builder: x509.CertificateBuilder, issuer: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    by = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())
    return builder.add_extension(by, critical=False).sign(issuer, hashes.SHA256())


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)
