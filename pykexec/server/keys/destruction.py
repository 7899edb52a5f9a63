# SPDX-License-Identifier: Apache-2.0
"""Certificates of destruction: a server's word that a value is gone, which anybody can check who
has noted its public key. The key (Ed25519) follows from the store's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pykexec.attest.fields import base64url, from_base64url, parse_object
from pykexec.errors import FormatError
from pykexec.server.canonical import canonical, to_ms
from pykexec.server.keys.keys import Keys

SIZE_MAX = 16 << 10
"""Bytes of a certificate."""
_PREFIX = b"pykexec destruction 1\0"
_PURPOSE = "destruction certificates"


def statement(
    fingerprint: str,
    name: str,
    kind: str,
    version: int,
    created: datetime,
    withdrawn: datetime,
    destroyed: datetime,
) -> dict[str, object]:
    """What is said of one value."""
    return {
        "version": 1,
        "machine": fingerprint,
        "name": name,
        "kind": kind,
        "generation": version,
        "created_ms": to_ms(created),
        "withdrawn_ms": to_ms(withdrawn),
        "destroyed_ms": to_ms(destroyed),
    }


def public_key(keys: Keys) -> str:
    """The server's, in base64url; the same on every server of a store."""
    public = _private(keys).public_key()
    return base64url(public.public_bytes(Encoding.Raw, PublicFormat.Raw))


def certify(keys: Keys, said: Mapping[str, object]) -> str:
    """The certificate: JSON with statement, signature and key."""
    text = canonical(said)
    signature = _private(keys).sign(_PREFIX + text.encode())
    return canonical(
        {"statement": text, "signature": base64url(signature), "key": public_key(keys)}
    )


def check(data: bytes, key: str) -> dict[str, object]:
    """What a certificate says; FormatError unless the holder of key, in base64url, has said it."""
    fields = parse_object(data, "certificate", SIZE_MAX)
    text, signature = fields.text("statement", SIZE_MAX), fields.data("signature", 64)
    if fields.text("key", 64) != key:
        raise FormatError("certificate: it is signed by another key than the one that was noted")
    try:
        public = Ed25519PublicKey.from_public_bytes(from_base64url(key, "key"))
        public.verify(signature, _PREFIX + text.encode())
    except (InvalidSignature, ValueError):
        raise FormatError("certificate: its signature is wrong") from None
    fields.end()
    return parse_object(text.encode(), "statement", SIZE_MAX).rest()


def _private(keys: Keys) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(keys.derive(_PURPOSE))
