# SPDX-License-Identifier: Apache-2.0
"""Key derivation of the TPM (TPM 2.0 Library Specification, Part 1, 11.4.10)."""

from __future__ import annotations

import hashlib
import hmac
import struct
from typing import TypeAlias

Buffer: TypeAlias = bytes | bytearray | memoryview


def digest_size(hash_name: str) -> int:
    """Bytes of a digest."""
    return hashlib.new(hash_name).digest_size


def kdfa(
    hash_name: str, key: Buffer, label: bytes, context_u: bytes, context_v: bytes, bits: int
) -> bytes:
    """KDFa(): SP 800-108 in counter mode with HMAC; label without its NUL, bits of eight."""
    tail = label + b"\0" + context_u + context_v + struct.pack(">I", bits)
    derived = b""
    counter = 0
    while len(derived) * 8 < bits:
        counter += 1
        derived += hmac.digest(bytes(key), struct.pack(">I", counter) + tail, hash_name)
    return derived[: bits // 8]


def kdfe(
    hash_name: str, z: Buffer, label: bytes, party_u: bytes, party_v: bytes, bits: int
) -> bytes:
    """KDFe(): SP 800-56A of a shared point's X; label without its NUL, bits of eight."""
    derived = b""
    counter = 0
    while len(derived) * 8 < bits:
        counter += 1
        digest = hashlib.new(hash_name, struct.pack(">I", counter))
        for part in (z, label + b"\0", party_u, party_v):
            digest.update(part)
        derived += digest.digest()
    return derived[: bits // 8]
