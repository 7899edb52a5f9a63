# SPDX-License-Identifier: Apache-2.0
"""Credentials made in software, opened by an EK's private key for one Name alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pykexec.attest.fields import ProtocolError
from pykexec.tpm.public import EccKey, Public, RsaKey, parse_public
from pykexec.verify.credential import make_credential
from tests.support import attest_tpm
from tests.support.attest_machine import Machine

CREDENTIAL = bytes(range(32))
NAME = b"\0\x0b" + b"n" * 32
KINDS = ("ecc-p256", "ecc-p384", "rsa2048")


def made(machine: Machine, name: bytes = NAME) -> tuple[bytes, bytes]:
    return make_credential(parse_public(machine.ek_public), name, CREDENTIAL)


@pytest.mark.parametrize("kind", KINDS)
def test_the_ek_opens_what_was_made_for_it(kind: str) -> None:
    machine = Machine(kind=kind)
    assert attest_tpm.activate(machine.ek, NAME, *made(machine)) == CREDENTIAL


@pytest.mark.parametrize("kind", KINDS)
def test_no_other_name_and_no_other_ek_open_it(kind: str) -> None:
    machine, other = Machine(kind=kind), Machine("other", kind="ecc-p384")
    with pytest.raises(ValueError):
        attest_tpm.activate(machine.ek, NAME[:-1] + b"m", *made(machine))
    with pytest.raises((ValueError, AssertionError)):
        attest_tpm.activate(other.ek, NAME, *made(machine))


def test_no_two_are_alike() -> None:
    machine = Machine()
    assert made(machine) != made(machine)


def rsa_ek(**changes: object) -> Public:
    public = parse_public(Machine(kind="rsa2048").ek_public)
    assert isinstance(public.key, RsaKey)
    return replace(public, key=replace(public.key, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "ek",
    [
        rsa_ek(exponent=3),
        rsa_ek(modulus=b"\0" * 255 + b"\x0f"),
        rsa_ek(modulus=b"\xff" * 255 + b"\xfe"),
        rsa_ek(bits=1024),
        replace(rsa_ek(), symmetric_bits=None),
    ],
)
def test_weak_rsa_keys_are_refused(ek: Public) -> None:
    with pytest.raises(ProtocolError, match="ek_public"):
        make_credential(ek, NAME, CREDENTIAL)


def test_a_point_off_the_curve_is_refused() -> None:
    public = parse_public(Machine().ek_public)
    assert isinstance(public.key, EccKey)
    ek = replace(public, key=replace(public.key, x=b"\x01" * 32))
    with pytest.raises(ProtocolError, match="not a point"):
        make_credential(ek, NAME, CREDENTIAL)
