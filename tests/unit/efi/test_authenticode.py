# SPDX-License-Identifier: Apache-2.0
"""Who signed an image, and what db and dbx say to that."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from functools import cache

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from pykexec.efi import authenticode, pe
from pykexec.efi.authenticode import X509_SHA256, Verdict
from pykexec.efi.signature_list import SHA256, SignatureList
from pykexec.errors import FormatError
from tests.support.windows_disk import (
    CA_2023,
    OWNER,
    PCA_2011,
    UEFI_CA_2011,
    authority,
    certificates,
)
from tests.unit.image.inputs import pe_bytes


@cache
def signed(name: str = PCA_2011) -> bytes:
    return authority(name).sign(pe_bytes())


def digest(data: bytes) -> bytes:
    return pe.authenticode_digest(data, pe.parse(data, "x"))


def hashes(*values: bytes) -> tuple[SignatureList, ...]:
    return (SignatureList(SHA256, b"", 48, tuple(OWNER.data + value for value in values)),)


def appraise(
    data: bytes, db: Sequence[SignatureList] = (), dbx: Sequence[SignatureList] = ()
) -> Verdict:
    return authenticode.appraise(data, pe.parse(data, "a.efi"), db, dbx, "a.efi")


def test_certificates_are_named_the_signer_first() -> None:
    (signature,) = authenticode.signatures(signed(), pe.parse(signed(), "x"), "x")
    assert [each.name for each in signature.certificates] == ["Microsoft Windows", PCA_2011]
    assert signature.certificates[1].der == authority(PCA_2011).der


def test_db_allows_by_the_authority_though_its_time_is_over() -> None:
    verdict = appraise(signed(), certificates(authority(CA_2023).der, authority(PCA_2011).der))
    assert str(verdict.allowed_by) == PCA_2011
    assert verdict.forbidden_by is None


def test_db_allows_by_the_signer_itself() -> None:
    own = authority(PCA_2011).signer.public_bytes(Encoding.DER)
    assert str(appraise(signed(), certificates(own)).allowed_by) == "Microsoft Windows"


@pytest.mark.parametrize(
    "db",
    [
        (),
        certificates(authority(CA_2023).der),
        certificates(authority(PCA_2011, seed=1).der),
        certificates(b"no certificate"),
    ],
    ids=["empty", "another's", "of the same name", "none"],
)
def test_db_without_the_authority_does_not_allow(db: Sequence[SignatureList]) -> None:
    assert appraise(signed(), db).allowed_by is None


def test_db_allows_by_digest() -> None:
    assert appraise(signed(), hashes(digest(signed()))).allowed_by == "digest"
    assert appraise(pe_bytes(), hashes(digest(pe_bytes()))).allowed_by == "digest"
    assert appraise(pe_bytes(), hashes(bytes(32))).allowed_by is None


def test_dbx_forbids_by_digest_by_certificate_and_by_a_certificates_digest() -> None:
    db = certificates(authority(PCA_2011).der)
    assert appraise(signed(), db, hashes(digest(signed()))).forbidden_by == "digest"
    assert str(appraise(signed(), db, db).forbidden_by) == PCA_2011
    tbs = authority(PCA_2011).certificate.tbs_certificate_bytes
    entry = OWNER.data + hashlib.sha256(tbs).digest() + bytes(16)
    listed = (SignatureList(X509_SHA256, b"", len(entry), (entry,)),)
    assert str(appraise(signed(), db, listed).forbidden_by) == PCA_2011
    others = certificates(authority(UEFI_CA_2011).der)
    assert appraise(signed(), db, others).forbidden_by is None


def test_a_signature_of_another_image_is_refused() -> None:
    data = bytearray(signed())
    data[pe.parse(signed(), "x").sections[0].file_offset] ^= 1
    with pytest.raises(FormatError, match=r"^a\.efi: signed is another image: its digest differs$"):
        appraise(bytes(data))


def test_a_signature_that_was_changed_leads_nowhere() -> None:
    image = pe.parse(signed(), "x")
    table = signed()[image.certificates_offset :]
    (size,) = struct.unpack_from("<I", table)
    # At the end stands what the signer computed.
    at = image.certificates_offset + size - 20
    while signed()[at] == 0:
        at -= 1
    data = bytearray(signed())
    data[at] ^= 1
    db = certificates(authority(PCA_2011).der)
    assert appraise(bytes(data), db).allowed_by is None


@pytest.mark.parametrize(
    ("offset", "data", "fault"),
    [
        (0, b"\7\0\0\0", "certificate of 7 bytes"),
        (0, b"\xff\xff\xff\x7f", "certificate of 2147483647 bytes"),
        (8, bytes(8), "a signature that is no Authenticode"),
    ],
)
def test_a_table_that_is_none_is_named(offset: int, data: bytes, fault: str) -> None:
    found = bytearray(signed())
    start = pe.parse(signed(), "x").certificates_offset + offset
    found[start : start + len(data)] = data
    with pytest.raises(FormatError, match=rf"^a\.efi: .*{fault}"):
        appraise(bytes(found))


def test_an_image_without_signature_has_none() -> None:
    assert appraise(pe_bytes(), certificates(authority(PCA_2011).der)) == Verdict((), None, None)
