# SPDX-License-Identifier: Apache-2.0
"""A certificate vouches for an EK, or says exactly why it does not."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from pykexec.attest.protocol import CERTIFICATE_MAX
from pykexec.verify.chain import ek_roots
from pykexec.verify.keys import check_ek
from pykexec.verify.path import DEPTH_MAX
from pykexec.verify.verify import verify
from tests.support import attest_ca
from tests.support.attest_ca import END, START, Authority, EkProfile, device_name
from tests.support.attest_expected import EXPECTED, NOW, claims_of, codes
from tests.support.attest_machine import Machine

PLATFORM = x509.ObjectIdentifier("2.23.133.8.2")


def empty_name(removed: str) -> x509.Name:
    return x509.Name([a for a in device_name() if a.oid.dotted_string != removed])


BAD_CERTIFICATES = {
    "expired": (EkProfile(not_after=NOW - timedelta(1)), "ek.certificate.validity"),
    "not valid yet": (EkProfile(not_before=NOW + timedelta(1)), "ek.certificate.validity"),
    "without a purpose": (EkProfile(eku=None), "ek.certificate.eku"),
    "for a platform": (EkProfile(eku=PLATFORM), "ek.certificate.eku"),
    "of an authority": (EkProfile(ca=True), "ek.certificate.ca"),
    "for another use of its key": (EkProfile(key_agreement=False), "ek.certificate.usage"),
    "for any use of its key": (EkProfile(key_usage=False), "ek.certificate.usage"),
    "without a device": (EkProfile(device=None), "ek.certificate.san"),
    "without a manufacturer": (EkProfile(device=empty_name("2.23.133.2.1")), "ek.certificate.san"),
    "without a model": (EkProfile(device=empty_name("2.23.133.2.2")), "ek.certificate.san"),
    "without a version": (EkProfile(device=empty_name("2.23.133.2.3")), "ek.certificate.san"),
    "with what nobody understands": (
        EkProfile(unknown_critical=True),
        "ek.certificate.critical",
    ),
}


@pytest.mark.parametrize("what", BAD_CERTIFICATES)
def test_a_certificate_is_refused(what: str) -> None:
    profile, code = BAD_CERTIFICATES[what]
    assert codes(Machine(profile=profile).evidence()) == [code]


def test_what_is_sent_along_with_a_certificate_is_not_kept() -> None:
    """Who has a genuine certificate can send any number of others behind it."""
    machine, roots = Machine(), ek_roots((attest_ca.root_der(),))
    key, _ = check_ek(machine.ek_public)
    assert key is not None
    behind = (*machine.certificates, *machine.certificates[1:] * 4)[: 1 + DEPTH_MAX]

    def present(first: int) -> int:
        for number in range(first, first + 50):
            junk = number.to_bytes(4, "big") * (CERTIFICATE_MAX // 4)
            roots.verify((*behind, junk, junk, junk), key.key, NOW)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        once, twice = present(0), present(50)
    finally:
        tracemalloc.stop()
    assert (twice - once) / 50 < CERTIFICATE_MAX


def leaf_as_issuer() -> Authority:
    """An EK's own key signs the certificate of another."""
    key = attest_ca.p256_key("a leaf")
    above = attest_ca.manufacturer()
    der = above.issue_ek(key.public_key(), EkProfile(subject="a leaf"))
    return Authority(key, x509.load_der_x509_certificate(der), (der, *above.chain))


def impostor() -> Authority:
    """The names are right, the key of the root is not."""
    real, key = attest_ca.root(), attest_ca.p256_key("impostor")
    return Authority(key, real.certificate).intermediate("Test TPM manufacturer")


BAD_CHAINS: dict[str, Callable[[], Authority]] = {
    "from a root that nobody trusts": lambda: attest_ca.root("foreign").intermediate("its own"),
    "from an impostor": impostor,
    "from a leaf": leaf_as_issuer,
    "from an authority that may not sign": lambda: attest_ca.root().intermediate(
        "no signer", signs=False
    ),
    "from below the last authority": lambda: attest_ca.manufacturer().intermediate("below"),
}


@pytest.mark.parametrize("what", BAD_CHAINS)
def test_a_chain_is_refused(what: str) -> None:
    assert codes(Machine(authority=BAD_CHAINS[what]()).evidence()) == ["ek.chain"]


def test_a_longer_chain_of_true_authorities_is_accepted() -> None:
    upper = attest_ca.root().intermediate("upper", path_length=None)
    assert codes(Machine(authority=upper.intermediate("lower")).evidence()) == []


def nameless(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """A certificate without a name, as EK certificates are."""
    name, public = x509.Name([]), key.public_key()
    return attest_ca.signed(x509.CertificateBuilder(name, name, public, 1, START, END), key)


def test_a_self_signed_certificate_is_refused() -> None:
    machine = Machine()
    assert isinstance(machine.ek, ec.EllipticCurvePrivateKey)
    own = Authority(machine.ek, nameless(machine.ek))
    machine.certificates = (own.issue_ek(machine.ek.public_key()),)
    assert codes(machine.evidence()) == ["ek.chain"]


@pytest.mark.parametrize("depth", [5, 6])
def test_a_path_has_an_end(depth: int) -> None:
    authority = attest_ca.root("deep")
    for number in range(depth - 1):
        authority = authority.intermediate(f"{number}", path_length=None)
    root = attest_ca.root("deep").certificate.public_bytes(Encoding.DER)
    found = codes(Machine(authority=authority).evidence(), ek_roots=(root,))
    assert found == ([] if depth == 5 else ["ek.chain"])


def test_who_is_trusted_but_no_authority_vouches_for_nobody() -> None:
    """OpenSSL itself takes a root of the first version of X.509, which cannot say what it is."""
    key = attest_ca.p256_key("v1")
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "v1")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, START, END)
    usage = x509.KeyUsage(False, False, False, False, False, True, False, False, False)
    root = attest_ca.signed(builder.add_extension(usage, critical=True), key)
    evidence = Machine(authority=Authority(key, root)).evidence()
    (reason,) = verify(
        evidence, replace(EXPECTED, ek_roots=(root.public_bytes(Encoding.DER),))
    ).verdict.reasons
    assert reason.code == "ek.chain"
    assert "not a certificate of an authority (certificate 1 of the path)" in reason.text


def test_a_certificate_of_another_key_is_refused_even_if_that_ek_is_enrolled() -> None:
    machine = Machine("mine")
    machine.certificates = Machine("other").certificates
    evidence = machine.evidence()
    assert codes(evidence) == ["ek.certificate.key"]
    assert codes(evidence, enrolled=True) == ["ek.certificate.key"]


def test_an_issuer_that_is_missing_or_garbage_is_refused() -> None:
    machine = Machine()
    leaf, _ = machine.certificates
    machine.certificates = (leaf,)
    assert codes(machine.evidence()) == ["ek.chain"]
    machine.certificates = (leaf, b"garbage")
    assert codes(machine.evidence()) == ["ek.certificate"]


def test_an_issuer_may_be_trusted_itself() -> None:
    machine = Machine()
    machine.certificates = machine.certificates[:1]
    manufacturer = attest_ca.manufacturer().certificate.public_bytes(Encoding.DER)
    assert codes(machine.evidence(), ek_roots=(manufacturer,)) == []


def test_nobody_is_trusted_by_default() -> None:
    assert codes(Machine().evidence(), ek_roots=()) == ["ek.chain"]


def test_an_ek_without_a_certificate_must_be_enrolled() -> None:
    machine = Machine()
    machine.certificates = ()
    evidence = machine.evidence()
    assert codes(evidence) == ["ek.untrusted"]
    assert claims_of(evidence, enrolled=True)["ek"]["trusted"] == "enrolled"


def test_an_enrolled_ek_needs_no_root() -> None:
    verified = verify(Machine().evidence(), replace(EXPECTED, ek_roots=(), enrolled=True))
    assert verified.verdict.accepted
    assert [finding.code for finding in verified.verdict.findings] == ["ek.chain"]
    assert verified.claims["ek"]["trusted"] == "enrolled"  # type: ignore[index]


@pytest.mark.parametrize("now", [START - timedelta(1), END + timedelta(1)])
def test_a_chain_that_was_found_good_is_so_only_while_it_is_valid(now: datetime) -> None:
    evidence = Machine().evidence()
    assert codes(evidence) == []
    assert codes(evidence, now=now) == ["ek.certificate.validity"]
    assert codes(evidence) == []


def test_a_chain_that_was_found_good_is_good_for_its_key_alone() -> None:
    roots = ek_roots(EXPECTED.ek_roots)
    machine = Machine("once")
    ek, _ = check_ek(machine.ek_public)
    assert ek is not None
    assert roots.verify(machine.certificates, ek.key, NOW).model == "simulated"
    intruder = Machine("intruder")
    intruder.certificates = machine.certificates
    assert codes(intruder.evidence()) == ["ek.certificate.key"]


def test_a_root_that_is_no_certificate_is_told_and_spoils_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert codes(Machine().evidence(), ek_roots=(b"garbage", *EXPECTED.ek_roots)) == []
    assert "root of EK certificates: 67617262616765: no certificate" in caplog.text
    assert codes(Machine().evidence(), ek_roots=(b"garbage",)) == ["ek.chain"]
