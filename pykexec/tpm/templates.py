# SPDX-License-Identifier: Apache-2.0
"""What keys are made from: EKs as the TCG has them, the AK, the storage primary key.

TCG EK Credential Profile for TPM Family 2.0, 2.5: templates L-1, L-2 (B.3), H-1 to H-3 (B.4), and
the NV indexes of certificates (2.2.1). The same template and seed always make the same key.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pykexec.tpm.constants import Algorithm, Attribute, Curve
from pykexec.tpm.public import EccKey, Public, RsaKey, Scheme
from pykexec.tpm.wire import WireError

POLICY_A = {
    "sha256": bytes.fromhex("837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa"),
    "sha384": bytes.fromhex(
        "8bbf2266537c171cb56e403c4dc1d4b64f432611dc386e6f532050c3278c930e"
        "143e8bb1133824ccb431053871c6db53"
    ),
}
"""PolicySecret(endorsement) (B.6.2)."""
POLICY_C = {
    "sha256": bytes.fromhex("3767e2edd43ff45a3a7e1eaefcef78643dca964632e7aad82c673a30d8633fde"),
    "sha384": bytes.fromhex(
        "d6032ce61f2fb3c240eb3cf6a33237ef2b6a16f4293c22b455e261cffd217ad5"
        "b4947c2d73e63005eed2dc2b3593d165"
    ),
}
"""PolicyAuthorizeNV, by which an owner may change the policy (B.6.4)."""
POLICY_B = {
    "sha256": bytes.fromhex("ca3d0a99a2b93906f7a3342414efcfb3a385d44cd1fd459089d19b5071c0b7a0"),
    "sha384": bytes.fromhex(
        "b26e7d28d11a50bc53d882bcf5fd3a1a074148bb35d3b4e4cb1c0ad9bde419ca"
        "cb47ba09699646150f9fc000f3f80e12"
    ),
}
"""PolicyOR of both (B.6.3)."""

_STORAGE = (
    Attribute.FIXED_TPM
    | Attribute.FIXED_PARENT
    | Attribute.SENSITIVE_DATA_ORIGIN
    | Attribute.RESTRICTED
    | Attribute.DECRYPT
)
_LOW = _STORAGE | Attribute.ADMIN_WITH_POLICY
_HIGH = _LOW | Attribute.USER_WITH_AUTH


@dataclass(frozen=True, slots=True)
class EkProfile:
    """One way to make an EK, and where the TPM's manufacturer left what belongs to it."""

    kind: str
    template: Public
    certificate: int
    nonce: int | None
    template_index: int


def _rsa(attributes: Attribute, policy: bytes, unique: bytes) -> Public:
    return Public("sha256", attributes, policy, 128, None, RsaKey(2048, 0, unique))


def _p256(attributes: Attribute, policy: bytes, unique: bytes) -> Public:
    key = EccKey(Curve.P256, unique, unique)
    return Public("sha256", attributes, policy, 128, None, key)


EK_PROFILES = (
    EkProfile(
        "ecc-p256",
        _p256(_LOW, POLICY_A["sha256"], bytes(32)),
        0x01C0000A,
        0x01C0000B,
        0x01C0000C,
    ),
    EkProfile("ecc-p256", _p256(_HIGH, POLICY_B["sha256"], b""), 0x01C00014, None, 0x01C00015),
    EkProfile(
        "ecc-p384",
        Public("sha384", _HIGH, POLICY_B["sha384"], 256, None, EccKey(Curve.P384, b"", b"")),
        0x01C00016,
        None,
        0x01C00017,
    ),
    EkProfile(
        "rsa2048",
        _rsa(_LOW, POLICY_A["sha256"], bytes(256)),
        0x01C00002,
        0x01C00003,
        0x01C00004,
    ),
    EkProfile("rsa2048", _rsa(_HIGH, POLICY_B["sha256"], b""), 0x01C00012, None, 0x01C00013),
)
"""In the order in which they are preferred: ECC keys are made quickly, RSA keys in seconds."""

EK_KINDS = tuple(dict.fromkeys(profile.kind for profile in EK_PROFILES))

FIRST_INDEX, LAST_INDEX = 0x01C00000, 0x01C001FF
"""Where those of all EKs are, and the certificates of their issuers from FIRST_ISSUER_INDEX on."""
FIRST_ISSUER_INDEX = 0x01C00100

AK_TEMPLATE = Public(
    "sha256",
    Attribute.FIXED_TPM
    | Attribute.FIXED_PARENT
    | Attribute.SENSITIVE_DATA_ORIGIN
    | Attribute.USER_WITH_AUTH
    | Attribute.NO_DA  # Its authorisation value is empty: a TPM in lockout shall attest, too.
    | Attribute.RESTRICTED
    | Attribute.SIGN,
    b"",
    None,
    Scheme(Algorithm.ECDSA, "sha256"),
    # Apart from keys that others make from a template without a name.
    EccKey(Curve.P256, b"pykexec attestation key 1".ljust(32, b"\0"), bytes(32)),
)
"""A signing key that signs nothing but what the TPM itself attests."""

STORAGE_TEMPLATE = Public(
    "sha256",
    _STORAGE | Attribute.USER_WITH_AUTH | Attribute.NO_DA,
    b"",
    128,
    None,
    EccKey(Curve.P256, bytes(32), bytes(32)),
)
"""The storage primary key of the owner (TCG TPM v2.0 Provisioning Guidance 1.0, 7.5.1)."""


def kind_of(public: Public) -> str:
    """ "rsa2048", "ecc-p256", "ecc-p384" and so on."""
    if isinstance(public.key, RsaKey):
        return f"rsa{public.key.bits}"
    if isinstance(public.key, EccKey):
        return f"ecc-{public.key.curve.name.lower()}"
    raise WireError("public area: a sealed object is no key")


def with_nonce(template: Public, nonce: bytes) -> Public:
    """The template with what the manufacturer has chosen at the start of its unique field."""
    key = template.key
    if isinstance(key, RsaKey):
        modulus = _overlaid(key.modulus, nonce, key.bits // 8)
        return replace(template, key=replace(key, modulus=modulus))
    if isinstance(key, EccKey):
        size = key.curve.size
        x, y = _overlaid(key.x, nonce, size), _overlaid(key.y, b"", size)
        return replace(template, key=replace(key, x=x, y=y))
    raise WireError("public area: a sealed object is no key")


def _overlaid(field: bytes, nonce: bytes, size: int) -> bytes:
    if len(nonce) > size:
        raise WireError(f"EK nonce: {len(nonce)} bytes are too many")
    return (nonce + field[len(nonce) :]).ljust(size, b"\0")


def same_but_unique(public: Public, template: Public) -> bool:
    """Whether a key is one that this template makes, from whatever is in its unique field."""
    return replace(public, key=_without_unique(public)) == replace(
        template, key=_without_unique(template)
    )


def _without_unique(public: Public) -> RsaKey | EccKey:
    key = public.key
    if isinstance(key, RsaKey):
        return replace(key, modulus=b"")
    if isinstance(key, EccKey):
        return replace(key, x=b"", y=b"")
    raise WireError("public area: a sealed object is no key")
