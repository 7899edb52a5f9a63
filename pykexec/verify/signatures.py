# SPDX-License-Identifier: Apache-2.0
"""What the databases of UEFI Secure Boot hold, for claims: db, dbx, KEK, PK."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import TypeVar

from cryptography import x509

from pykexec.efi.signature_list import SHA256, X509, parse_signature_lists
from pykexec.errors import FormatError
from pykexec.verify.unreadable import UNREADABLE

T = TypeVar("T")

DATABASE_MAX = 256 << 10
"""Bytes: all that flash chips of firmware have for variables, as a rule."""


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
    as bare keys, are there too, as "GUID:hex": nobody shall take what he does not know for nothing.
    """

    certificates: tuple[Certificate, ...]
    hashes: tuple[str, ...]


def _remembered(many: int, size_max: int) -> Callable[[Callable[[bytes], T]], Callable[[bytes], T]]:
    """Machines of one kind have the same ones; a larger one is some attester's idea."""

    def decorate(function: Callable[[bytes], T]) -> Callable[[bytes], T]:
        known = lru_cache(many)(function)

        @wraps(function)
        def call(data: bytes) -> T:
            return known(data) if len(data) <= size_max else function(data)

        return call

    return decorate


@_remembered(256, 8 << 10)
def parse_certificate(der: bytes) -> Certificate:
    """A certificate's facts; what is no certificate has a digest all the same."""
    try:
        subject = x509.load_der_x509_certificate(der).subject.rfc4514_string()
    except UNREADABLE:
        subject = ""
    return Certificate(subject, hashlib.sha256(der).hexdigest())


@_remembered(64, 64 << 10)
def parse_signatures(data: bytes) -> Signatures:
    """Decode a database; FormatError for what is none, or too much for one."""
    if len(data) > DATABASE_MAX:
        raise FormatError(f"signature database: {len(data)} bytes, at most {DATABASE_MAX} are read")
    certificates: list[Certificate] = []
    hashes: list[str] = []
    for found in parse_signature_lists(data, "signature database"):
        if found.type == X509:
            certificates += map(parse_certificate, found.values)
        elif found.type == SHA256:
            hashes += [value.hex() for value in found.values]
        else:
            hashes += [f"{found.type}:{value.hex()}" for value in found.values]
    return Signatures(tuple(certificates), tuple(hashes))
