# SPDX-License-Identifier: Apache-2.0
"""Certificates of destruction: a server's word that a value is gone, which anybody can check who
has noted its public key. The key (Ed25519) follows from the store's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pykexec.server.canonical import canonical, to_ms
from pykexec.server.keys.keys import Keys
from pykexec.server.keys.signing import SIZE_MAX as SIZE_MAX
from pykexec.server.keys.signing import Signing

_SIGNING = Signing("destruction certificates", b"pykexec destruction 1\0", "certificate")


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
    return _SIGNING.public_key(keys)


def certify(keys: Keys, said: Mapping[str, object]) -> str:
    """The certificate: JSON with statement, signature and key."""
    return canonical(_SIGNING.sign(keys, said))


def check(data: bytes, key: str) -> dict[str, object]:
    """What a certificate says; FormatError unless the holder of key, in base64url, has said it."""
    return _SIGNING.check(data, key).rest()
