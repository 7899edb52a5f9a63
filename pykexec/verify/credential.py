# SPDX-License-Identifier: Apache-2.0
"""TPM2_MakeCredential() in software (TPM 2.0 Library Specification, Part 1, 24).

What comes out is opened by one TPM only, the one with that EK, and only for the object of that
Name: TPM2_ActivateCredential().
"""

from __future__ import annotations

import hmac
import os
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric import ec

from pykexec import crypto
from pykexec.attest.fields import ProtocolError
from pykexec.errors import FormatError
from pykexec.tpm.kdf import digest_size, kdfa, kdfe
from pykexec.tpm.public import EccKey, Public, RsaKey, name_of, parse_public
from pykexec.tpm.wire import sized
from pykexec.verify.keys import ecc_key, point_of

_RSA_BITS = (2048, 3072, 4096)
_CACHED = 4096  # pairs of keys, some 2 KiB each


# Machines come back.
@lru_cache(_CACHED)
def keys_of(ek_public: bytes, ak_public: bytes) -> tuple[Public, bytes]:
    """What a credential is made for: the EK, and the AK's Name; WireError for what are no keys."""
    ek, ak = parse_public(ek_public), parse_public(ak_public)
    return ek, name_of(ak.name_alg, ak_public)


def make_credential(ek: Public, ak_name: bytes, credential: bytes) -> tuple[bytes, bytes]:
    """Contents of TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET for an EK.

    ProtocolError when the EK is no storage key, or its numbers are those of no key.
    """
    if ek.symmetric_bits is None:
        raise ProtocolError("identity.ek_public: protects nothing")
    seed, secret = _seed(ek)
    key = kdfa(ek.name_alg, seed, b"STORAGE", ak_name, b"", ek.symmetric_bits)
    encrypted = crypto.aes_cfb(key, bytes(16), sized(credential), True)
    bits = digest_size(ek.name_alg) * 8
    integrity = kdfa(ek.name_alg, seed, b"INTEGRITY", b"", b"", bits)
    outer = hmac.digest(integrity, encrypted + ak_name, ek.name_alg)
    return sized(outer) + encrypted, secret


def _seed(ek: Public) -> tuple[bytes, bytes]:
    """The seed, and what the EK's TPM gets it from (Part 1, B.10.4 and C.6.4)."""
    size = digest_size(ek.name_alg)
    key = ek.key
    try:
        if isinstance(key, RsaKey):
            _check_rsa(key)
            seed = os.urandom(size)
            return seed, crypto.rsa_oaep_encrypt(
                key.modulus, key.e, seed, b"IDENTITY\0", ek.name_alg
            )
        if isinstance(key, EccKey):
            ephemeral, shared = _agree(key)
            x, y = point_of(ephemeral)
            return kdfe(ek.name_alg, shared, b"IDENTITY", x, key.x, size * 8), sized(x) + sized(y)
    except FormatError as error:
        raise ProtocolError(f"identity.ek_public: {error}") from None
    raise ProtocolError("identity.ek_public: neither an RSA nor an ECC key")


def _agree(key: EccKey) -> tuple[ec.EllipticCurvePublicKey, bytes]:
    """An ephemeral key, and X of the point that it shares with key."""
    if (public := ecc_key(key)) is None:
        raise FormatError("public key: not a point of the curve")
    ephemeral = ec.generate_private_key(public.curve)
    return ephemeral.public_key(), ephemeral.exchange(ec.ECDH(), public)


def _check_rsa(key: RsaKey) -> None:
    """Small or even numbers are no keys; what is encrypted to them is open to everybody."""
    modulus = int.from_bytes(key.modulus, "big")
    if key.bits not in _RSA_BITS or modulus.bit_length() != key.bits or not modulus & 1:
        raise FormatError(f"RSA modulus of {modulus.bit_length()} bits")
    if key.e < 65537 or not key.e & 1:
        raise FormatError(f"RSA exponent {key.e}")
