# SPDX-License-Identifier: Apache-2.0
"""TPMT_PUBLIC, the public area of a key or sealed object, and its Name (Part 1, 16; Part 2, 12.2).

Only what keys of ours and EKs can be: RSA, ECC and sealed data, AES in CFB mode. Exactly one
sequence of bytes stands for a value, so that what is parsed and encoded again stays the same.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import TypeAlias

from pykexec.tpm.banks import HashAlgorithm
from pykexec.tpm.constants import Algorithm, Attribute, Curve
from pykexec.tpm.wire import Reader, WireError, sized

_NAME_HASHES = {
    int(algorithm): algorithm.name.lower()
    for algorithm in (HashAlgorithm.SHA256, HashAlgorithm.SHA384, HashAlgorithm.SHA512)
}
_CURVES = {int(curve): curve for curve in Curve}
_RSA_SCHEMES = (Algorithm.RSASSA, Algorithm.RSAPSS)
_ATTRIBUTES = sum(Attribute)


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a key signs: its algorithm, and the name of the hash."""

    algorithm: Algorithm
    hash_name: str


@dataclass(frozen=True, slots=True)
class RsaKey:
    """modulus is big endian, in a template empty or anything; exponent 0 stands for 65537."""

    bits: int
    exponent: int
    modulus: bytes

    @property
    def e(self) -> int:
        """The exponent itself."""
        return self.exponent or 65537


@dataclass(frozen=True, slots=True)
class EccKey:
    """A point; in a template empty or anything."""

    curve: Curve
    x: bytes
    y: bytes


@dataclass(frozen=True, slots=True)
class SealedData:
    """The unique field of a sealed object."""

    unique: bytes


PublicKey: TypeAlias = RsaKey | EccKey | SealedData


@dataclass(frozen=True, slots=True)
class Public:
    """TPMT_PUBLIC: name_alg is a hash's name; symmetric_bits those of the AES key that protects
    what is below the key, None for a key that has nothing below; scheme None if it has none.
    """

    name_alg: str
    attributes: Attribute
    policy: bytes
    symmetric_bits: int | None
    scheme: Scheme | None
    key: PublicKey

    def encode(self) -> bytes:
        """As the TPM has it."""
        kind, parameters, unique = _encode_key(self)
        head = struct.pack(">HHI", kind, HashAlgorithm[self.name_alg.upper()], self.attributes)
        return head + sized(self.policy) + parameters + unique

    @property
    def name(self) -> bytes:
        """What the TPM calls the object: nameAlg and the digest of the public area."""
        return name_of(self.name_alg, self.encode())


def name_of(name_alg: str, area: bytes) -> bytes:
    """A Name: TPM_ALG_ID and digest of a public area (Part 1, 16)."""
    digest = hashlib.new(name_alg, area).digest()
    return struct.pack(">H", HashAlgorithm[name_alg.upper()]) + digest


def parse_public(data: bytes) -> Public:
    """Decode a TPMT_PUBLIC; WireError for what is none, or none of those that are known."""
    reader = Reader(data, "public area")
    kind = reader.u16()
    name_alg = _name_alg(reader)
    attributes = reader.u32()
    if attributes & ~_ATTRIBUTES:
        raise WireError(f"public area: attributes {attributes:#x} are reserved")
    policy = reader.sized()
    if len(policy) not in (0, hashlib.new(name_alg).digest_size):
        raise WireError(f"public area: policy of {len(policy)} bytes")
    symmetric_bits, scheme, key = _parse_key(reader, kind)
    reader.end()
    return Public(name_alg, Attribute(attributes), policy, symmetric_bits, scheme, key)


def _name_alg(reader: Reader) -> str:
    number = reader.u16()
    if (name := _NAME_HASHES.get(number)) is None:
        raise WireError(f"{reader.what}: hash algorithm {number:#x} is not known")
    return name


def _encode_key(public: Public) -> tuple[Algorithm, bytes, bytes]:
    key = public.key
    if isinstance(key, SealedData):
        return Algorithm.KEYED_HASH, struct.pack(">H", Algorithm.NULL), sized(key.unique)
    head = _encode_symmetric(public.symmetric_bits) + _encode_scheme(public.scheme)
    if isinstance(key, RsaKey):
        tail = struct.pack(">HI", key.bits, key.exponent)
        return Algorithm.RSA, head + tail, sized(key.modulus)
    tail = struct.pack(">HH", key.curve, Algorithm.NULL)
    return Algorithm.ECC, head + tail, sized(key.x) + sized(key.y)


def _encode_symmetric(bits: int | None) -> bytes:
    if bits is None:
        return struct.pack(">H", Algorithm.NULL)
    return struct.pack(">HHH", Algorithm.AES, bits, Algorithm.CFB)


def _encode_scheme(scheme: Scheme | None) -> bytes:
    if scheme is None:
        return struct.pack(">H", Algorithm.NULL)
    return struct.pack(">HH", scheme.algorithm, HashAlgorithm[scheme.hash_name.upper()])


def _parse_key(reader: Reader, kind: int) -> tuple[int | None, Scheme | None, PublicKey]:
    if kind == Algorithm.KEYED_HASH:
        if (scheme := reader.u16()) != Algorithm.NULL:
            raise WireError(f"{reader.what}: scheme {scheme:#x} of a keyed hash is not known")
        return None, None, SealedData(reader.sized())
    if kind == Algorithm.RSA:
        symmetric_bits, scheme_ = _parse_symmetric(reader), _parse_scheme(reader, _RSA_SCHEMES)
        return symmetric_bits, scheme_, _parse_rsa(reader)
    if kind == Algorithm.ECC:
        symmetric_bits = _parse_symmetric(reader)
        scheme_ = _parse_scheme(reader, (Algorithm.ECDSA,))
        return symmetric_bits, scheme_, _parse_ecc(reader)
    raise WireError(f"{reader.what}: type {kind:#x} is not known")


def _parse_symmetric(reader: Reader) -> int | None:
    if (algorithm := reader.u16()) == Algorithm.NULL:
        return None
    bits, mode = reader.u16(), reader.u16()
    if (algorithm, mode) != (Algorithm.AES, Algorithm.CFB) or bits not in (128, 192, 256):
        raise WireError(f"{reader.what}: cipher {algorithm:#x}, {bits} bits, is not known")
    return bits


def _parse_scheme(reader: Reader, known: tuple[Algorithm, ...]) -> Scheme | None:
    if (algorithm := reader.u16()) == Algorithm.NULL:
        return None
    if algorithm not in known:
        raise WireError(f"{reader.what}: scheme {algorithm:#x} is not known")
    return Scheme(Algorithm(algorithm), _name_alg(reader))


def _parse_rsa(reader: Reader) -> RsaKey:
    return RsaKey(reader.u16(), reader.u32(), reader.sized())


def _parse_ecc(reader: Reader) -> EccKey:
    number, kdf = reader.u16(), reader.u16()
    if (curve := _CURVES.get(number)) is None:
        raise WireError(f"{reader.what}: curve {number:#x} is not known")
    if kdf != Algorithm.NULL:
        raise WireError(f"{reader.what}: key derivation {kdf:#x} is not known")
    return EccKey(curve, reader.sized(), reader.sized())
