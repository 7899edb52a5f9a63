# SPDX-License-Identifier: Apache-2.0
"""EK and AK: whether a public area is that of a key that can vouch for a TPM.

An AK must be a key that its TPM made, that never leaves it and that signs nothing but what the TPM
itself attests: fixedTPM, fixedParent, sensitiveDataOrigin, restricted, sign, with an authorisation
value and no policy. It must be ECC P-256 with ECDSA and SHA-256: that is what our attester makes on
any TPM 2.0, one kind less to get wrong, and quick to verify. An EK must be what a template of the
TCG makes (EK Credential Profile 2.5, B.3 and B.4): restricted, for decryption alone.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from pykexec.attest.verdict import Finding
from pykexec.tpm.banks import HashAlgorithm
from pykexec.tpm.constants import Algorithm, Attribute, Curve, Handle
from pykexec.tpm.public import EccKey, Public, RsaKey, Scheme, parse_public
from pykexec.tpm.templates import EK_PROFILES, same_but_unique
from pykexec.tpm.wire import WireError

EkKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

_AK_REQUIRED = (
    Attribute.FIXED_TPM
    | Attribute.FIXED_PARENT
    | Attribute.SENSITIVE_DATA_ORIGIN
    | Attribute.USER_WITH_AUTH
    | Attribute.RESTRICTED
    | Attribute.SIGN
)
# Says that failed authorisations do not count: of no interest to who verifies.
_AK_OPTIONAL = Attribute.NO_DA
_AK_SCHEME = Scheme(Algorithm.ECDSA, "sha256")
_RSA_EXPONENT = 65537
_CURVES: dict[Curve, ec.EllipticCurve] = {
    Curve.P256: ec.SECP256R1(),
    Curve.P384: ec.SECP384R1(),
}
_UNCOMPRESSED = b"\x04"  # SEC 1, 2.3.3
_CACHED = 8192  # keys, some 2 KiB each


@dataclass(frozen=True, slots=True)
class Ak:
    """An AK that may sign quotes; qualified_name is its as a primary key of the endorsement
    hierarchy, where resetCount and restartCount are told as they are (Part 1, 26.5 and 36.7).
    """

    name: bytes
    qualified_name: bytes
    key: ec.EllipticCurvePublicKey


@dataclass(frozen=True, slots=True)
class Ek:
    """An EK; kind as tpm.templates names it."""

    kind: str
    key: EkKey


# What follows from bytes alone is kept: machines come back, and keys take time to load.
@lru_cache(_CACHED)
def check_ak(area: bytes) -> tuple[Ak | None, tuple[Finding, ...]]:
    """The AK of a TPMT_PUBLIC, and everything that is wrong with it; None with a key of no use."""
    try:
        public = parse_public(area)
    except WireError as error:
        return None, (Finding("ak.format", f"the AK's {error}"),)
    faults = []
    if missing := _AK_REQUIRED & ~public.attributes:
        faults.append(Finding("ak.attributes", f"the AK is not {_words(missing)}"))
    if extra := public.attributes & ~(_AK_REQUIRED | _AK_OPTIONAL):
        faults.append(Finding("ak.attributes", f"the AK is {_words(extra)}"))
    if public.policy:
        faults.append(Finding("ak.policy", "the AK has a policy, it can be used in other ways"))
    key = _ak_key(public)
    if key is None:
        text = "the AK is no ECC P-256 key for ECDSA with SHA-256"
        return None, (*faults, Finding("ak.algorithm", text))
    return Ak(public.name, _qualified_name(public), key), tuple(faults)


def _words(attributes: Attribute) -> str:
    """fixedTPM for FIXED_TPM, as Part 2 has it."""
    names = []
    for attribute in attributes:
        first, *rest = (attribute.name or "").split("_")
        names.append(first.lower() + "".join(w if w in ("TPM", "DA") else w.title() for w in rest))
    return ", ".join(names)


def _ak_key(public: Public) -> ec.EllipticCurvePublicKey | None:
    key = public.key
    if not isinstance(key, EccKey) or key.curve != Curve.P256 or public.name_alg != "sha256":
        return None
    if public.scheme != _AK_SCHEME or public.symmetric_bits is not None:
        return None
    return ecc_key(key)


def ecc_key(key: EccKey) -> ec.EllipticCurvePublicKey | None:
    """The key, None for what is no point of its curve in coordinates of full length."""
    curve = _CURVES.get(key.curve)
    if curve is None or len(key.x) != len(key.y):
        return None
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(curve, _UNCOMPRESSED + key.x + key.y)
    except ValueError:  # Of another length, or not on the curve.
        return None


def point_of(key: ec.EllipticCurvePublicKey) -> tuple[bytes, bytes]:
    """X and Y, of full length."""
    size = -(-key.key_size // 8)
    numbers = key.public_numbers()
    return numbers.x.to_bytes(size, "big"), numbers.y.to_bytes(size, "big")


def _qualified_name(public: Public) -> bytes:
    parent = struct.pack(">I", Handle.ENDORSEMENT)
    digest = hashlib.new(public.name_alg, parent + public.name).digest()
    return struct.pack(">H", HashAlgorithm[public.name_alg.upper()]) + digest


@lru_cache(_CACHED)
def check_ek(area: bytes) -> tuple[Ek | None, tuple[Finding, ...]]:
    """The EK of a TPMT_PUBLIC, and what is wrong with it; None with a key of no use."""
    try:
        public = parse_public(area)
        kinds = [
            profile.kind for profile in EK_PROFILES if same_but_unique(public, profile.template)
        ]
    except WireError as error:
        return None, (Finding("ek.format", f"the EK's {error}"),)
    if not kinds:
        text = f"the EK ({_words(public.attributes)}) is not made by a template of the TCG"
        return None, (Finding("ek.template", text),)
    key = _ek_key(public)
    if key is None:
        return None, (Finding("ek.key", "the EK's numbers are those of no key"),)
    if isinstance(key, rsa.RSAPublicKey) and _is_roca(key.public_numbers().n):
        text = "the EK is of a faulty generator (CVE-2017-15361): its private key can be computed"
        return None, (Finding("ek.weak", text),)
    return Ek(kinds[0], key), ()


def _is_roca(modulus: int) -> bool:
    """Whether it is a power of 65537 by every small prime, as those of Infineon's faulty library
    are and, of others, one in a hundred million (Nemec et al., CCS 2017, 2.2).
    """
    return all(modulus % prime in powers for prime, powers in _POWERS.items())


def _powers(prime: int) -> frozenset[int]:
    return frozenset(pow(_RSA_EXPONENT, exponent, prime) for exponent in range(prime))


_POWERS = {
    prime: _powers(prime)
    for prime in range(3, 168, 2)
    if all(prime % divisor for divisor in range(3, 13, 2)) or prime in (3, 5, 7, 11)
}


def _ek_key(public: Public) -> EkKey | None:
    key = public.key
    if isinstance(key, EccKey):
        return ecc_key(key)
    if not isinstance(key, RsaKey):
        return None
    modulus = int.from_bytes(key.modulus, "big")
    if len(key.modulus) * 8 != key.bits or modulus.bit_length() != key.bits or not modulus & 1:
        return None
    return rsa.RSAPublicNumbers(_RSA_EXPONENT, modulus).public_key()
