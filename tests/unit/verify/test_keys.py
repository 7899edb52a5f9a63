# SPDX-License-Identifier: Apache-2.0
"""An AK that could sign anything is none, an EK that no template makes is none."""

from __future__ import annotations

import struct
from dataclasses import replace
from math import prod

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from pykexec.tpm.constants import Attribute, Curve
from pykexec.tpm.public import EccKey, RsaKey, parse_public
from pykexec.tpm.templates import AK_TEMPLATE, EK_PROFILES
from pykexec.verify.keys import check_ak, check_ek
from tests.support import attest_tpm
from tests.support.attest_expected import codes
from tests.support.attest_machine import Machine
from tests.support.attest_tpm import AK_ATTRIBUTES

LOADED_FROM_OUTSIDE = Attribute.SIGN | Attribute.USER_WITH_AUTH
REQUIRED = [
    Attribute.FIXED_TPM,
    Attribute.FIXED_PARENT,
    Attribute.SENSITIVE_DATA_ORIGIN,
    Attribute.USER_WITH_AUTH,
    Attribute.RESTRICTED,
    Attribute.SIGN,
]
NOT_ALLOWED = [
    Attribute.DECRYPT,
    Attribute.ST_CLEAR,
    Attribute.ADMIN_WITH_POLICY,
    Attribute.ENCRYPTED_DUPLICATION,
]


def machine_with_ak(attributes: int, policy: bytes = b"") -> Machine:
    machine = Machine()
    machine.ak_public = attest_tpm.ak_public(machine.ak, attributes, policy)
    return machine


@pytest.mark.parametrize("attribute", REQUIRED, ids=lambda a: a.name)
def test_an_ak_must_have_each_attribute(attribute: Attribute) -> None:
    machine = machine_with_ak(AK_ATTRIBUTES & ~attribute)
    assert codes(machine.evidence()) == ["ak.attributes"]


@pytest.mark.parametrize("attribute", NOT_ALLOWED, ids=lambda a: a.name)
def test_an_ak_must_not_have_other_attributes(attribute: Attribute) -> None:
    machine = machine_with_ak(AK_ATTRIBUTES | attribute)
    assert codes(machine.evidence()) == ["ak.attributes"]


def test_a_key_loaded_from_outside_is_no_ak() -> None:
    _, findings = check_ak(machine_with_ak(LOADED_FROM_OUTSIDE).ak_public)
    assert [str(finding) for finding in findings] == [
        "ak.attributes: the AK is not fixedTPM, fixedParent, sensitiveDataOrigin, restricted"
    ]


def test_an_ak_has_no_policy() -> None:
    machine = machine_with_ak(AK_ATTRIBUTES, bytes(32))
    assert codes(machine.evidence()) == ["ak.policy"]


def test_an_ak_may_be_free_of_dictionary_attack_protection() -> None:
    assert codes(machine_with_ak(AK_ATTRIBUTES | Attribute.NO_DA).evidence()) == []


def test_an_ak_may_not_have_attributes_that_nobody_knows() -> None:
    machine = machine_with_ak(AK_ATTRIBUTES | 1 << 19)
    assert codes(machine.evidence()) == ["ak.format"]


AK = replace(
    parse_public(Machine().ak_public), attributes=AK_TEMPLATE.attributes, scheme=AK_TEMPLATE.scheme
)
P256 = AK.key
assert isinstance(P256, EccKey)
OTHER_AKS = {
    "P-384": attest_tpm.ak_public(ec.generate_private_key(ec.SECP384R1())),
    "off the curve": replace(AK, key=replace(P256, x=bytes(32))).encode(),
    "long coordinates": replace(AK, key=replace(P256, x=b"\0" + P256.x)).encode(),
    "RSA": replace(AK, scheme=None, key=RsaKey(2048, 0, b"\xff" * 256)).encode(),
    "no scheme": replace(AK, scheme=None).encode(),
    "named by SHA-384": replace(AK, name_alg="sha384").encode(),
    "with a cipher": replace(AK, symmetric_bits=128).encode(),
}


@pytest.mark.parametrize("area", OTHER_AKS.values(), ids=OTHER_AKS)
def test_an_ak_is_p256_with_ecdsa(area: bytes) -> None:
    ak, findings = check_ak(area)
    assert ak is None
    assert [finding.code for finding in findings] == ["ak.algorithm"]


def test_the_key_that_our_attester_makes_is_an_ak() -> None:
    ak, findings = check_ak(AK.encode())
    assert ak is not None
    assert findings == ()


def test_without_an_ak_nothing_is_signed_and_nothing_accepted() -> None:
    evidence = Machine().evidence()
    other = replace(evidence, identity=replace(evidence.identity, ak_public=OTHER_AKS["RSA"]))
    assert codes(other) == ["ak.algorithm"]


EKS = {
    kind: parse_public(Machine(kind=kind).ek_public) for kind in ("ecc-p256", "ecc-p384", "rsa2048")
}
P256_EK, RSA_EK = EKS["ecc-p256"], EKS["rsa2048"]


@pytest.mark.parametrize("profile", EK_PROFILES, ids=lambda p: hex(p.certificate))
def test_each_template_of_the_tcg_makes_an_ek(profile) -> None:  # type: ignore[no-untyped-def]
    area = replace(profile.template, key=EKS[profile.kind].key)
    ek, findings = check_ek(area.encode())
    assert ek is not None
    assert (ek.kind, findings) == (profile.kind, ())


POINT, MODULUS = P256_EK.key, RSA_EK.key
assert isinstance(POINT, EccKey)
assert isinstance(MODULUS, RsaKey)
EVEN = MODULUS.modulus[:-1] + b"\0"
OTHER_EKS = {
    "signs": (
        replace(P256_EK, attributes=P256_EK.attributes | Attribute.SIGN),
        "ek.template",
    ),
    "not restricted": (
        replace(P256_EK, attributes=P256_EK.attributes & ~Attribute.RESTRICTED),
        "ek.template",
    ),
    "may leave its TPM": (
        replace(P256_EK, attributes=P256_EK.attributes & ~Attribute.FIXED_TPM),
        "ek.template",
    ),
    "another policy": (replace(P256_EK, policy=bytes(32)), "ek.template"),
    "no cipher": (replace(P256_EK, symmetric_bits=None), "ek.template"),
    "another curve": (replace(P256_EK, key=replace(POINT, curve=Curve.P521)), "ek.template"),
    "another exponent": (replace(RSA_EK, key=replace(MODULUS, exponent=3)), "ek.template"),
    "off the curve": (replace(P256_EK, key=replace(POINT, y=bytes(32))), "ek.key"),
    "even": (replace(RSA_EK, key=replace(MODULUS, modulus=EVEN)), "ek.key"),
    "short": (replace(RSA_EK, key=replace(MODULUS, modulus=MODULUS.modulus[1:])), "ek.key"),
    "long": (replace(RSA_EK, key=replace(MODULUS, modulus=b"\0" + MODULUS.modulus)), "ek.key"),
    "an AK": (AK, "ek.template"),
}


@pytest.mark.parametrize("what", OTHER_EKS)
def test_another_key_is_no_ek(what: str) -> None:
    area, code = OTHER_EKS[what]
    ek, findings = check_ek(area.encode())
    assert ek is None
    assert [finding.code for finding in findings] == [code]


@pytest.mark.parametrize("area", [b"", b"\0\x23", struct.pack(">HHIHHH", 8, 11, 0, 0, 16, 0)])
def test_what_is_no_public_area_is_no_key(area: bytes) -> None:
    assert check_ak(area)[0] is None
    assert check_ek(area)[0] is None


@pytest.mark.parametrize(("power", "codes_found"), [(7, ["ek.weak"]), (None, [])])
def test_an_ek_of_the_faulty_generator_is_refused(
    power: int | None, codes_found: list[str]
) -> None:
    """Moduli of Infineon's library are powers of 65537 by every small prime (CVE-2017-15361)."""
    public = Machine(kind="rsa2048").ek_public
    modulus = int.from_bytes(public[-256:], "big")
    if power is not None:
        small = prod(p for p in range(2, 168) if all(p % d for d in range(2, p)))
        modulus = modulus // small * small + pow(65537, power, small)
    found, faults = check_ek(public[:-256] + modulus.to_bytes(256, "big"))
    assert [fault.code for fault in faults] == codes_found
    assert (found is None) == bool(codes_found)
