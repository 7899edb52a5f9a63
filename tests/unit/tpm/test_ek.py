# SPDX-License-Identifier: Apache-2.0
"""EKs and their certificates as manufacturers leave them, against swtpm and tpm2-tools."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from pykexec.errors import TpmError
from pykexec.tpm.client import Ek, Tpm
from pykexec.tpm.constants import Curve
from pykexec.tpm.loaded import loaded_handles
from pykexec.tpm.nv import read_nv
from pykexec.tpm.public import EccKey, RsaKey
from pykexec.tpm.response_code import ResponseError
from pykexec.tpm.templates import EK_PROFILES, EkProfile
from pykexec.tpm.wire import WireError, sized
from pykexec.vm.swtpm import provision
from tests.support.attest_ca import manufacturer
from tests.support.software_tpm import SoftwareTpm, software_tpm

L2, H2, H3, L1, H1 = EK_PROFILES
KINDS = ("ecc-p256", "ecc-p384", "rsa2048")
TOOL_NAMES = {"ecc-p256": "ecc", "ecc-p384": "ecc384", "rsa2048": "rsa2048"}
EK_ATTRIBUTES = "fixedtpm|fixedparent|sensitivedataorigin|adminwithpolicy|restricted|decrypt"


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftwareTpm]:
    """As swtpm_setup leaves it: persistent EKs RSA and P-384, and their certificates."""
    directory = tmp_path_factory.mktemp("certified")
    provision(directory)
    with software_tpm(directory) as running:
        yield running


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[SoftwareTpm]:
    """A new TPM without anything in it."""
    with software_tpm(tmp_path) as running:
        yield running


def store(swtpm: SoftwareTpm, index: int, data: bytes) -> None:
    """Leave data in NV as a manufacturer does."""
    (swtpm.directory / "nv").write_bytes(data)
    attributes = "ppwrite|ppread|authread|ownerread|no_da|platformcreate"
    swtpm.tool(f"tpm2_nvdefine -Q -C p -s {len(data)} -a {attributes} {index:#x}")
    swtpm.tool(f"tpm2_nvwrite -Q -C p -i nv {index:#x}")


def certificate_for(ek: Ek) -> bytes:
    key = ek.area.key
    if isinstance(key, RsaKey):
        numbers = rsa.RSAPublicNumbers(key.e, int.from_bytes(key.modulus, "big"))
        return manufacturer().issue_ek(numbers.public_key())
    assert isinstance(key, EccKey)
    curve = {32: ec.SECP256R1(), 48: ec.SECP384R1()}[key.curve.size]
    x, y = int.from_bytes(key.x, "big"), int.from_bytes(key.y, "big")
    return manufacturer().issue_ek(ec.EllipticCurvePublicNumbers(x, y, curve).public_key())


def ek_of(swtpm: SoftwareTpm, kind: str) -> Ek:
    with Tpm(swtpm) as tpm:
        return tpm.ek(kind)


def made_by_tools(swtpm: SoftwareTpm, kind: str) -> bytes:
    """TPM2B_PUBLIC of the EK that tpm2-tools make."""
    swtpm.tool(f"tpm2_createek -Q -G {TOOL_NAMES[kind]} -c ek.ctx -u ek.pub")
    return swtpm.file("ek.pub")


def primary_by_tools(
    swtpm: SoftwareTpm, hierarchy: str, profile: EkProfile, *unique: bytes
) -> bytes:
    """TPM2B_PUBLIC of what tpm2_createprimary makes of a template with these unique fields."""
    # TPMU_PUBLIC_ID as the tools have it in memory.
    room = {"rsa2048": 256, "ecc-p256": 128}[profile.kind]
    native = b"".join(len(part).to_bytes(2, "little") + part.ljust(room, b"\0") for part in unique)
    (swtpm.directory / "unique").write_bytes(native)
    (swtpm.directory / "policy").write_bytes(profile.template.policy)
    make = f"tpm2_createprimary -Q -C {hierarchy} -G {TOOL_NAMES[profile.kind]}:null:aes128cfb"
    swtpm.tool(f"{make} -a {EK_ATTRIBUTES} -L policy -u unique -c primary.ctx")
    swtpm.tool("tpm2_readpublic -Q -c primary.ctx -o primary.pub")
    return swtpm.file("primary.pub")


@pytest.mark.parametrize("kind", ["ecc-p256", "rsa2048"])
def test_the_ek_is_the_one_that_tpm2_tools_make(bare: SoftwareTpm, kind: str) -> None:
    ek = ek_of(bare, kind)
    assert sized(ek.public) == made_by_tools(bare, kind)
    bare.tool("tpm2_readpublic -Q -c ek.ctx -n name")
    assert bare.file("name") == ek.name
    assert ek.certificates == ()


@pytest.mark.parametrize(
    ("kind", "handle", "index"),
    [("ecc-p384", 0x81010016, 0x1C00016), ("rsa2048", 0x81010001, 0x1C00002)],
)
def test_a_persistent_ek_is_used_with_its_certificate(
    certified: SoftwareTpm, kind: str, handle: int, index: int
) -> None:
    with Tpm(certified) as tpm:
        ek = tpm.ek(kind)
        assert loaded_handles(certified) == set()
    assert (ek.kind, ek.handle) == (kind, handle)
    certified.tool(f"tpm2_readpublic -Q -c {handle:#x} -o public -n name")
    assert (sized(ek.public), ek.name) == (certified.file("public"), certified.file("name"))
    certified.tool(f"tpm2_nvread -Q {index:#x} -o certificate")
    assert ek.certificates == (certified.file("certificate"),)
    x509.load_der_x509_certificate(ek.certificates[0])


def test_the_template_makes_what_the_manufacturer_has_certified(certified: SoftwareTpm) -> None:
    persistent = [ek_of(certified, kind) for kind in ("rsa2048", "ecc-p384")]
    for ek in persistent:
        certified.tool(f"tpm2_evictcontrol -Q -C o -c {ek.handle:#x}")
    made = [ek_of(certified, kind) for kind in ("rsa2048", "ecc-p384")]
    assert [ek.handle >> 24 for ek in made] == [0x80, 0x80]
    assert [replace(new, handle=old.handle) for new, old in zip(made, persistent, strict=True)] == (
        persistent
    )


@pytest.mark.parametrize("profile", EK_PROFILES, ids=lambda p: f"{p.certificate:#x}")
def test_a_certificate_says_which_template_its_ek_has(
    bare: SoftwareTpm, profile: EkProfile
) -> None:
    store(bare, profile.certificate, b"\x30\x02ab")
    ek = ek_of(bare, profile.kind)
    assert (ek.area.policy, ek.area.attributes) == (
        profile.template.policy,
        profile.template.attributes,
    )
    bare.tool(f"tpm2_nvundefine -Q -C p {profile.certificate:#x}")
    certificate = certificate_for(ek)
    store(bare, profile.certificate, certificate + b"\xff" * 100)
    assert ek_of(bare, profile.kind).certificates == (certificate,)


def test_ecc_p256_is_preferred_to_p384_and_that_to_rsa(bare: SoftwareTpm) -> None:
    assert best_kind(bare) == "ecc-p256"
    for kind, index in (("rsa2048", 0x1C00002), ("ecc-p384", 0x1C00016), ("ecc-p256", 0x1C0000A)):
        store(bare, index, certificate_for(ek_of(bare, kind)))
        assert best_kind(bare) == kind
    assert loaded_handles(bare) == set()


def best_kind(swtpm: SoftwareTpm) -> str:
    with Tpm(swtpm) as tpm:
        return tpm.best_ek().kind


@pytest.mark.parametrize("content", ["another key's", "garbage", "unwritten"])
def test_a_certificate_that_is_not_the_eks_does_not_count(bare: SoftwareTpm, content: str) -> None:
    rsa_certificate = certificate_for(ek_of(bare, "rsa2048"))
    store(bare, 0x1C00002, rsa_certificate)
    if content == "unwritten":
        bare.tool("tpm2_nvdefine -Q -C p -s 99 -a ppwrite|ppread|authread|platformcreate 0x1c0000a")
    else:
        store(bare, 0x1C0000A, rsa_certificate if content == "another key's" else b"\xff" * 700)
    assert ek_of(bare, "ecc-p256").certificates == ()
    assert best_kind(bare) == "rsa2048"
    assert loaded_handles(bare) == set()


def test_issuers_follow_from_index_to_index(bare: SoftwareTpm) -> None:
    authority = manufacturer()
    certificate = certificate_for(ek_of(bare, "ecc-p256"))
    chain = b"".join(authority.chain)
    assert len(authority.chain) >= 1
    store(bare, 0x1C0000A, certificate)
    store(bare, 0x1C00100, chain[:300])
    store(bare, 0x1C00101, chain[300:] + bytes(50))
    assert ek_of(bare, "ecc-p256").certificates == (certificate, *authority.chain)


def test_the_manufacturers_nonce_makes_another_ek_of_ecc(bare: SoftwareTpm) -> None:
    store(bare, 0x1C0000B, b"n" * 20)
    ek = ek_of(bare, "ecc-p256")
    # tpm2_createek takes a random nonce instead (a wrong pointer in 5.4).
    assert sized(ek.public) == primary_by_tools(bare, "e", L2, b"n" * 20 + bytes(12), bytes(32))


def test_the_manufacturers_nonce_makes_another_ek_of_rsa(bare: SoftwareTpm) -> None:
    store(bare, 0x1C00003, b"n" * 256)
    ek = ek_of(bare, "rsa2048")
    assert sized(ek.public) == primary_by_tools(bare, "e", L1, b"n" * 256)


def test_a_nonce_that_is_too_long_is_refused(bare: SoftwareTpm) -> None:
    store(bare, 0x1C0000B, b"n" * 33)
    with pytest.raises(WireError, match="EK nonce: 33 bytes"):
        ek_of(bare, "ecc-p256")


def test_the_manufacturers_template_makes_another_ek(bare: SoftwareTpm) -> None:
    key = EccKey(Curve.P256, b"x" * 32, b"y" * 32)
    store(bare, 0x1C0000C, replace(L2.template, key=key).encode())
    ek = ek_of(bare, "ecc-p256")
    assert sized(ek.public) == primary_by_tools(bare, "e", L2, b"x" * 32, b"y" * 32)
    store(bare, 0x1C0000B, b"n" * 20)
    ek = ek_of(bare, "ecc-p256")
    assert sized(ek.public) == primary_by_tools(bare, "e", L2, b"n" * 20 + b"x" * 12, b"y" * 32)


@pytest.mark.parametrize(
    ("template", "fault"),
    [(L1.template.encode(), "not ecc-p256"), (b"\xff" * 60, "hash algorithm 0xffff")],
)
def test_a_template_of_another_kind_is_refused(
    bare: SoftwareTpm, template: bytes, fault: str
) -> None:
    store(bare, 0x1C0000C, template)
    with pytest.raises(WireError, match=fault):
        ek_of(bare, "ecc-p256")


def test_a_broken_template_leaves_the_next_kind(bare: SoftwareTpm) -> None:
    store(bare, 0x1C0000A, certificate_for(ek_of(bare, "ecc-p256")))
    store(bare, 0x1C0000C, b"\xff" * 60)
    store(bare, 0x1C00002, certificate_for(ek_of(bare, "rsa2048")))
    assert best_kind(bare) == "rsa2048"


def persist(swtpm: SoftwareTpm, hierarchy: str, unique: bytes = bytes(32)) -> None:
    """Have a key like the EK of template L-2 at 0x81010001."""
    primary_by_tools(swtpm, hierarchy, L2, unique, bytes(32))
    swtpm.tool("tpm2_evictcontrol -Q -C o -c primary.ctx 0x81010001")


def test_a_persistent_key_of_the_endorsement_hierarchy_is_the_ek(bare: SoftwareTpm) -> None:
    made = ek_of(bare, "ecc-p256")
    persist(bare, "e")
    assert ek_of(bare, "ecc-p256") == replace(made, handle=0x81010001)


def test_a_persistent_key_of_another_hierarchy_is_not_the_ek(bare: SoftwareTpm) -> None:
    made = ek_of(bare, "ecc-p256")
    persist(bare, "o")
    assert ek_of(bare, "ecc-p256") == made


def test_a_persistent_key_without_the_certificates_key_is_not_the_ek(bare: SoftwareTpm) -> None:
    made = ek_of(bare, "ecc-p256")
    certificate = certificate_for(made)
    store(bare, 0x1C0000A, certificate)
    persist(bare, "e", unique=b"m" * 32)
    assert ek_of(bare, "ecc-p256") == replace(made, certificates=(certificate,))


def test_a_persistent_key_of_another_template_is_not_the_ek(bare: SoftwareTpm) -> None:
    persist(bare, "e")
    assert ek_of(bare, "ecc-p384").handle >> 24 == 0x80
    assert ek_of(bare, "rsa2048").handle >> 24 == 0x80


def test_there_are_three_kinds_of_eks(bare: SoftwareTpm) -> None:
    with pytest.raises(TpmError, match="EK 'rsa1024' is not one of ecc-p256, ecc-p384, rsa2048"):
        ek_of(bare, "rsa1024")


def makecredential(
    swtpm: SoftwareTpm, ek: Ek, name: bytes, credential: bytes
) -> tuple[bytes, bytes]:
    """By tpm2-tools: contents of TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET."""
    (swtpm.directory / "ek.pub").write_bytes(sized(ek.public))
    (swtpm.directory / "credential").write_bytes(credential)
    make = "tpm2_makecredential -Q -T none -u ek.pub -s credential -o made"
    swtpm.tool_keeping(f"{make} -n {name.hex()}")
    data = swtpm.file("made")[8:]
    size = int.from_bytes(data[:2], "big")
    return data[2 : 2 + size], data[4 + size :]


@pytest.mark.parametrize("profile", EK_PROFILES, ids=lambda p: f"{p.certificate:#x}")
def test_a_credential_of_tpm2_tools_is_opened(bare: SoftwareTpm, profile: EkProfile) -> None:
    store(bare, profile.certificate, b"\x30\x02ab")
    with Tpm(bare) as tpm:
        ak, ek = tpm.ak(), tpm.ek(profile.kind)
        blob, secret = makecredential(bare, ek, ak.name, b"credential of 32 bytes ........!")
        with tpm.activate_credential(ak, ek, blob, secret) as credential:
            assert bytes(credential.view) == b"credential of 32 bytes ........!"
        assert loaded_handles(bare) == {ak.handle, ek.handle}
    assert loaded_handles(bare) == set()


def test_a_credential_for_another_ak_or_ek_is_not_opened(bare: SoftwareTpm) -> None:
    with Tpm(bare) as tpm:
        ak, ek = tpm.ak(), tpm.ek("ecc-p256")
        for_another_ak = makecredential(bare, ek, ek.name, b"c" * 32)
        with pytest.raises(TpmError, match="TPM_RC_INTEGRITY"):
            tpm.activate_credential(ak, ek, *for_another_ak)
        other = tpm.ek("ecc-p384")
        for_another_ek = makecredential(bare, other, ak.name, b"c" * 32)
        with pytest.raises(TpmError, match="TPM2_ActivateCredential: TPM error"):
            tpm.activate_credential(ak, ek, *for_another_ek)
    assert loaded_handles(bare) == set()


def test_an_ek_of_an_unknown_policy_is_not_used(bare: SoftwareTpm) -> None:
    store(bare, 0x1C0000C, replace(L2.template, policy=bytes(32)).encode())
    with Tpm(bare) as tpm:
        ak, ek = tpm.ak(), tpm.ek("ecc-p256")
        with pytest.raises(TpmError, match="policy is none of the TCG's"):
            tpm.activate_credential(ak, ek, b"", b"")
    assert loaded_handles(bare) == set()


def test_a_hierarchy_with_a_password_is_named_with_the_way_out(bare: SoftwareTpm) -> None:
    bare.tool("tpm2_changeauth -Q -c endorsement secret")
    told = "the endorsement hierarchy has a password: `tpm2_changeauth -c endorsement -p PASSWORD`"
    with pytest.raises(ResponseError, match=told):
        ek_of(bare, "ecc-p256")
    bare.tool("tpm2_changeauth -Q -c endorsement -p secret")
    assert ek_of(bare, "ecc-p256").public


def test_the_owners_password_is_named_where_it_is_in_the_way(bare: SoftwareTpm) -> None:
    attributes = "ppwrite|ownerread|no_da|platformcreate"
    bare.tool(f"tpm2_nvdefine -Q -C p -s 4 -a {attributes} 0x1c0000a")
    (bare.directory / "nv").write_bytes(b"\x30\x02\x05\x00")
    bare.tool("tpm2_nvwrite -Q -C p -i nv 0x1c0000a")
    bare.tool("tpm2_changeauth -Q -c owner secret")
    with pytest.raises(ResponseError, match="the owner hierarchy has a password: "):
        read_nv(bare, 0x1C0000A)


def test_a_hierarchy_that_is_disabled_is_named_with_the_way_out(bare: SoftwareTpm) -> None:
    bare.tool("tpm2_hierarchycontrol -Q -C p ehEnable clear")
    told = "the endorsement hierarchy is disabled until the next reset: the firmware's setup"
    with pytest.raises(ResponseError, match=told):
        ek_of(bare, "ecc-p256")


def test_what_is_of_no_hierarchy_has_no_way_out() -> None:
    for code in (0x9A2, 0x185):
        assert "hierarchy has" not in str(ResponseError("x", code, (0x81010001,)))
        assert "hierarchy is" not in str(ResponseError("x", code))
    assert "hierarchy" not in str(ResponseError("x", 0x1C4, (0x4000000B,)))
