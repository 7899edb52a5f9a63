# SPDX-License-Identifier: Apache-2.0
"""Signature databases of UEFI Secure Boot: db, dbx, KEK, PK (UEFI 2.10, 32.4.1)."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from functools import lru_cache

from cryptography import x509

from pykexec.efi.guid import GUID_SIZE, Guid
from pykexec.errors import FormatError

CERT_X509 = Guid.parse("a5c059a1-94e4-4aa7-87b5-ab155c2bf072")
CERT_SHA256 = Guid.parse("c1c41626-504c-4092-aca9-41f936934328")

_LIST = "<16sIII"
_CACHED = 256  # databases, some KiB each; machines of one kind have the same ones


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate of a database; subject is "" where it cannot be read."""

    subject: str
    sha256: str

    def to_json(self) -> dict[str, str]:
        """As claims have it."""
        return {"subject": self.subject, "sha256": self.sha256}


@dataclass(frozen=True, slots=True)
class Signatures:
    """What a database lists. hashes are SHA-256 of images in hex; entries of any other kind, such
    as bare keys, are there too, as "GUID:hex", for nobody shall take what he does not know for
    nothing.
    """

    certificates: tuple[Certificate, ...]
    hashes: tuple[str, ...]


def parse_certificate(der: bytes) -> Certificate:
    """A certificate's facts; what is no certificate has a digest all the same."""
    try:
        subject = x509.load_der_x509_certificate(der).subject.rfc4514_string()
    except ValueError:
        subject = ""
    return Certificate(subject, hashlib.sha256(der).hexdigest())


@lru_cache(_CACHED)
def parse_signatures(data: bytes) -> Signatures:
    """Decode a chain of EFI_SIGNATURE_LIST; FormatError for what is none."""
    certificates: list[Certificate] = []
    hashes: list[str] = []
    offset = 0
    while offset < len(data):
        kind, signatures, offset = _parse_list(data, offset)
        for signature in signatures:
            if kind == CERT_X509:
                certificates.append(parse_certificate(signature))
            elif kind == CERT_SHA256:
                hashes.append(signature.hex())
            else:
                hashes.append(f"{kind}:{signature.hex()}")
    return Signatures(tuple(certificates), tuple(hashes))


def _parse_list(data: bytes, offset: int) -> tuple[Guid, list[bytes], int]:
    """One list's kind, its signatures without their owners, and where the next one begins."""
    head = struct.calcsize(_LIST)
    if len(data) - offset < head:
        raise FormatError(f"signature list: offset {offset}: cut off")
    kind, size, header_size, signature_size = struct.unpack_from(_LIST, data, offset)
    start, end = offset + head + header_size, offset + size
    if not head <= size <= len(data) - offset or start > end or signature_size <= GUID_SIZE:
        raise FormatError(f"signature list: offset {offset}: sizes do not fit")
    if (end - start) % signature_size:
        raise FormatError(f"signature list: offset {offset}: a signature is cut off")
    signatures = [
        data[at + GUID_SIZE : at + signature_size] for at in range(start, end, signature_size)
    ]
    return Guid(kind), signatures, end
