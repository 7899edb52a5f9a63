# SPDX-License-Identifier: Apache-2.0
"""Sealing the two kinds of JWE (RFC 7516, compact) that a release has, and no other.

What attest/jwe opens: outside "dir", inside "ECDH-ES" to a P-256 key, both with A256GCM. A library
for all of JOSE takes five times as long as the cryptography, with every release of every machine;
tests open with such a library what is sealed here.
"""

from __future__ import annotations

import json
import os

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash

from pykexec.attest.fields import base64url
from pykexec.attest.jwe import derivation_info
from pykexec.verify.keys import point_of

_ENCRYPTION = "A256GCM"
_KEY_SIZE, _IV_SIZE, _TAG_SIZE = 32, 12, 16
_INFO = derivation_info(b"", b"")


def seal_direct(plain: bytes, key: bytes) -> str:
    """JSON by a key of 32 bytes that both sides have (RFC 7518, 4.5)."""
    return _seal({"alg": "dir", "enc": _ENCRYPTION, "cty": "json"}, plain, key)


def seal_to_key(plain: bytes | bytearray, recipient: ec.EllipticCurvePublicKey) -> str:
    """To a key on P-256, by an ephemeral one (RFC 7518, 4.6)."""
    ephemeral = ec.generate_private_key(recipient.curve)
    shared = ephemeral.exchange(ec.ECDH(), recipient)
    key = ConcatKDFHash(SHA256(), _KEY_SIZE, _INFO).derive(shared)
    x, y = map(base64url, point_of(ephemeral.public_key()))
    epk = {"kty": "EC", "crv": "P-256", "x": x, "y": y}
    return _seal({"alg": "ECDH-ES", "enc": _ENCRYPTION, "epk": epk}, plain, key)


def _seal(header: dict[str, object], plain: bytes | bytearray, key: bytes) -> str:
    """No key is sent along: its part is empty."""
    head = base64url(json.dumps(header, separators=(",", ":")).encode())
    iv = os.urandom(_IV_SIZE)
    sealed = AESGCM(key).encrypt(iv, plain, head.encode())
    parts = (iv, sealed[:-_TAG_SIZE], sealed[-_TAG_SIZE:])
    return ".".join((head, "", *map(base64url, parts)))
