# SPDX-License-Identifier: Apache-2.0
"""Opening the two kinds of JWE (RFC 7516, compact) that a release has, and no other.

Outside "dir" by a key that both sides derived, inside "ECDH-ES" to an ephemeral P-256 key; both
with A256GCM. A header with anything else in it is refused: neither a compression, nor another
algorithm, nor a critical extension is understood here.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pykexec.attest.fields import Fields, ProtocolError, from_base64url, parse_object
from pykexec.secret import Secret

if TYPE_CHECKING:
    from pykexec.crypto import EcdhKey

_ENCRYPTION = "A256GCM"
_KEY_SIZE = 32
_HEADER_MAX = 2048  # bytes
_PARTY_MAX = 256
_IV_SIZE, _TAG_SIZE, _COORDINATE_SIZE = 12, 16, 32


@dataclass(frozen=True, slots=True)
class _Token:
    header: Fields
    aad: bytes
    iv: bytes
    ciphertext: bytes
    tag: bytes


def open_direct(token: str, key: bytes) -> bytes:
    """The plaintext of a JWE of alg "dir" by key (32 bytes).

    ProtocolError if it is no such JWE, FormatError if key is not its key or somebody changed it.
    """
    from pykexec.crypto import aes_gcm_open

    parts = _parse(token, "release", "dir")
    if parts.header.has("cty"):
        parts.header.text("cty")
    parts.header.end()
    plain = bytearray(len(parts.ciphertext))
    aes_gcm_open(key, parts.iv, parts.aad, parts.ciphertext, parts.tag, memoryview(plain))
    return bytes(plain)


def open_to_key(token: str, key: EcdhKey) -> Secret:
    """The plaintext of a JWE of alg "ECDH-ES" to key (P-256, RFC 7518, 4.6); errors as above."""
    from pykexec.crypto import aes_gcm_open, concat_kdf

    parts = _parse(token, "secret", "ECDH-ES")
    epk = parts.header.fields("epk")
    if (epk.text("kty"), epk.text("crv")) != ("EC", "P-256"):
        raise epk.fault("crv", "only P-256 is known")
    x, y = _exactly(epk, "x", _COORDINATE_SIZE), _exactly(epk, "y", _COORDINATE_SIZE)
    epk.end()
    info = derivation_info(_party(parts.header, "apu"), _party(parts.header, "apv"))
    parts.header.end()
    plain = Secret(len(parts.ciphertext))
    with key.derive(x, y) as shared, concat_kdf(shared.view, info) as content_key:
        aes_gcm_open(content_key.view, parts.iv, parts.aad, parts.ciphertext, parts.tag, plain.view)
    return plain


def derivation_info(apu: bytes, apv: bytes) -> bytes:
    """OtherInfo of the Concat KDF for direct key agreement (RFC 7518, 4.6.2)."""
    parts = (_ENCRYPTION.encode(), apu, apv)
    lengths_and_data = b"".join(struct.pack(">I", len(part)) + part for part in parts)
    return lengths_and_data + struct.pack(">I", _KEY_SIZE * 8)


def _parse(token: str, where: str, algorithm: str) -> _Token:
    parts = token.split(".")
    if len(parts) != 5:
        raise ProtocolError(f"{where}: {len(parts)} parts, a JWE has 5")
    head, wrapped_key, iv, ciphertext, tag = (from_base64url(part, where) for part in parts)
    header = parse_object(head, f"{where}.header", _HEADER_MAX)
    if (found := header.text("alg")) != algorithm:
        raise header.fault("alg", f"{found!r} is not {algorithm!r}")
    if (found := header.text("enc")) != _ENCRYPTION:
        raise header.fault("enc", f"{found!r} is not {_ENCRYPTION!r}")
    if wrapped_key:
        raise ProtocolError(f"{where}: has an encrypted key, which {algorithm} has not")
    if (len(iv), len(tag)) != (_IV_SIZE, _TAG_SIZE):
        raise ProtocolError(f"{where}: IV of {len(iv)} bytes, tag of {len(tag)}")
    return _Token(header, parts[0].encode(), iv, ciphertext, tag)


def _party(header: Fields, key: str) -> bytes:
    return header.data(key, _PARTY_MAX) if header.has(key) else b""


def _exactly(fields: Fields, key: str, size: int) -> bytes:
    data = fields.data(key, size)
    if len(data) != size:
        raise fields.fault(key, f"{len(data)} bytes, not {size}")
    return data
