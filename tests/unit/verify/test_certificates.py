# SPDX-License-Identifier: Apache-2.0
"""Certificates of real manufacturers are read, and verify where OpenSSL finds them good."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from pykexec.errors import FormatError, ToolError
from pykexec.run import run
from pykexec.verify import chain
from pykexec.verify.certificates import in_order, load, parse_bundle
from pykexec.verify.chain import ChainError
from tests.support import attest_ca
from tests.support.attest_ca import ANY_POLICY, EkProfile
from tests.support.attest_expected import EXPECTED, NOW, claims_of, codes
from tests.support.attest_machine import Machine

CERTIFICATES = Path(__file__).parents[2] / "data/certificates"
NUVOTON = CERTIFICATES / "nuvoton-2111.pem"
GARBAGE = b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
NOT_BASE64 = b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"


def pem(der: bytes, directory: Path, name: str) -> Path:
    """A file of a certificate, as OpenSSL writes it."""
    (directory / name).write_bytes(der)
    run(["openssl", "x509", "-inform", "DER", "-in", directory / name, "-out", directory / name])
    return directory / name


def openssl_verifies(root: bytes, leaf: bytes, directory: Path) -> bool:
    """Whether the command does, at the tests' time."""
    words = ["openssl", "verify", "-auth_level", "2", "-attime", str(int(NOW.timestamp()))]
    files = [str(pem(root, directory, "root")), str(pem(leaf, directory, "leaf"))]
    try:
        run([*words, "-trusted", *files], timeout_s=60)
    except ToolError:
        return False
    return True


def unordered() -> Machine:
    """A machine whose manufacturer's name is not in DER's order; its root is machine.boot's."""
    machine = Machine()
    root, leaf = attest_ca.out_of_order(attest_ca.root("Nuvoton's kind"), machine.ek.public_key())
    machine.certificates = (leaf, root)
    return machine


def test_a_manufacturers_authority_that_is_not_in_order_is_read() -> None:
    data = NUVOTON.read_bytes()
    (der,) = parse_bundle(data, "nuvoton")
    with pytest.raises(ValueError, match="InvalidSetOrdering"):
        x509.load_der_x509_certificate(der)
    assert "CN=Nuvoton TPM Root CA 2111" in load(der).subject.rfc4514_string()


def real(name: str) -> bytes:
    """One of tests/data/certificates, DER."""
    (der,) = parse_bundle((CERTIFICATES / f"{name}.pem").read_bytes(), name)
    return der


@pytest.mark.parametrize(
    ("names", "root", "model"),
    [
        (("nuvoton-ek",), "nuvoton-2111", "NPCT75x"),
        (("st-ek", "st-intermediate-05"), "st-root", "ST33HTPHAHB4"),
    ],
)
def test_a_real_tpm_is_vouched_for_as_openssl_finds(
    names: tuple[str, ...], root: str, model: str
) -> None:
    presented = tuple(map(real, names))
    files = [CERTIFICATES / f"{name}.pem" for name in (*names[1:], names[0])]
    words: list[str | Path] = ["openssl", "verify", "-attime", str(int(NOW.timestamp()))]
    words += ["-partial_chain", "-trusted", CERTIFICATES / f"{root}.pem"]
    for between in files[:-1]:
        words += ["-untrusted", between]
    run([*words, files[-1]], timeout_s=60)
    key = load(presented[0]).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert chain.ek_roots((real(root),)).verify(presented, key, NOW).model == model
    with pytest.raises(ChainError) as caught:
        chain.ek_roots((real("infineon-ek"),)).verify(presented, key, NOW)
    assert caught.value.code == "ek.chain"


def test_a_real_tpm_whose_authority_is_not_there_lacks_nothing_else() -> None:
    leaf = real("infineon-ek")
    key = load(leaf).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    with pytest.raises(ChainError, match=r"Manufacturing CA 035.*unable to get local issuer"):
        chain.ek_roots((real("st-root"),)).verify((leaf,), key, NOW)


def test_what_was_signed_is_kept(tmp_path: Path) -> None:
    """OpenSSL, which does not mind the order, finds the very same bytes in the file."""
    command = ["openssl", "x509", "-in", str(NUVOTON), "-outform", "DER"]
    assert parse_bundle(NUVOTON.read_bytes(), "x") == (run(command, timeout_s=60),)


def test_a_machine_of_such_a_manufacturer_is_accepted(tmp_path: Path) -> None:
    machine = unordered()
    leaf, root = machine.certificates
    machine.certificates = (leaf,)
    assert openssl_verifies(root, leaf, tmp_path)
    issuer = claims_of(machine.evidence(), ek_roots=(root,))["ek"]["certificate"]["issuer"]
    assert "CN=A TPM Root" in issuer
    assert codes(machine.evidence()) == ["ek.chain"]


def test_putting_names_in_order_forges_nothing(tmp_path: Path) -> None:
    """The copy whose fields are read is not what was signed."""
    machine = unordered()
    leaf, root = machine.certificates
    machine.certificates = (in_order(leaf),)
    assert not openssl_verifies(root, in_order(leaf), tmp_path)
    assert codes(machine.evidence(), ek_roots=(root,)) == ["ek.chain"]


@pytest.mark.parametrize("where", ["root", "intermediate", "leaf"])
def test_critical_policies_are_no_hindrance(where: str) -> None:
    authority, roots = attest_ca.root(), EXPECTED.ek_roots
    if where == "root":
        authority = authority.intermediate("a", critical=ANY_POLICY)
        roots = (authority.certificate.public_bytes(Encoding.DER),)
    else:
        policies = ANY_POLICY if where == "intermediate" else None
        authority = authority.intermediate("b", critical=policies)
    profile = EkProfile(critical_policies=where == "leaf")
    evidence = Machine(authority=authority, profile=profile).evidence()
    assert codes(evidence, ek_roots=roots) == []


def test_what_nobody_understands_hinders_an_authority() -> None:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\5\0")
    authority = attest_ca.root().intermediate("c", critical=unknown)
    assert codes(Machine(authority=authority).evidence()) == ["ek.chain"]


def test_a_bad_certificate_spoils_no_bundle(caplog: pytest.LogCaptureFixture) -> None:
    good = NUVOTON.read_bytes()
    found = parse_bundle(good + GARBAGE + b"a text\n" + NOT_BASE64 + good, "bundle")
    assert found == parse_bundle(good, "one") * 2
    told = [record.getMessage() for record in caplog.records]
    assert [text.partition(": no certificate")[0] for text in told] == [
        "bundle: certificate 2 of 4",
        "bundle: certificate 3 of 4",
    ]


@pytest.mark.parametrize("data", [b"", b"garbage", GARBAGE, NOT_BASE64 + GARBAGE])
def test_a_bundle_of_nothing_is_an_error(data: bytes) -> None:
    with pytest.raises(FormatError, match=r"^bundle: .*no certificate: "):
        parse_bundle(data, "bundle")


@pytest.mark.parametrize(
    "data",
    [b"\x31", b"\x31\x05\x02", b"\x31\x80", b"\x31\x85\0\0\0\0\1\0", b"\x30\x80" * 40],
)
def test_what_is_no_der_has_no_order(data: bytes) -> None:
    with pytest.raises(FormatError, match="DER: "):
        in_order(data)


def test_nesting_has_an_end() -> None:
    data = b""
    for _ in range(60):
        data = bytes([0x30, len(data)]) + data
    with pytest.raises(FormatError, match="nested too deep"):
        in_order(data)


@pytest.mark.parametrize("seed", range(200))
def test_noise_is_no_certificate_or_one(seed: int) -> None:
    rng = random.Random(seed)
    (der,) = parse_bundle(NUVOTON.read_bytes(), "x")
    data = bytearray(der)
    for _ in range(rng.randrange(1, 4)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    try:
        load(bytes(data))
    except ValueError:
        return
    assert len(in_order(bytes(data))) == len(data)
