# SPDX-License-Identifier: Apache-2.0
"""What is looked at in an image before it is written anywhere."""

from __future__ import annotations

import itertools

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pykexec.efi import pe
from pykexec.efi.secure_boot import Trust
from pykexec.errors import FormatError
from pykexec.install.image import (
    check_signatures,
    downgrades,
    identify,
    read_certificates,
)
from tests.support.own_images import SBAT, own_image
from tests.support.windows_disk import UEFI_CA_2011, authority, certificates
from tests.unit.image.inputs import kernel_bytes, patched, pe_bytes

IMAGE = own_image("1.2", "6.12.1", kernel_sbat=b"sbat,1\nlinux,3,x\npykexec,2\n")


def test_an_image_is_known_by_its_versions_and_generations() -> None:
    found = identify(IMAGE, "x")
    assert str(found) == "pykexec 1.2 (Linux 6.12.1)"
    assert found.generations == {"sbat": 1, "pykexec": 2, "linux": 3}


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "x: empty file"),
        (b"no program", "x: not a PE image"),
        (pe_bytes(), "x: no section .linux: not an image of pykexec"),
        (kernel_bytes(), "x: no section .linux"),
        (own_image(release="ID=fedora"), "x: .osrel is not of pykexec"),
        (IMAGE[:-512], "x: truncated"),
        (IMAGE[: len(IMAGE) // 2], "x: truncated"),
    ],
)
def test_what_is_none_of_ours_or_cut_off_is_refused(data: bytes, fault: str) -> None:
    with pytest.raises(FormatError, match=fault):
        identify(data, "x")


@pytest.mark.parametrize("name", [".linux", ".initrd", ".cmdline", ".osrel", ".uname", ".sbat"])
def test_a_byte_that_changed_is_found(name: str) -> None:
    section = pe.parse(IMAGE, "x").section(name)
    assert section is not None
    at = section.file_offset + section.virtual_size - 2
    with pytest.raises(FormatError, match=r"x: .*(section \.|osrel)"):
        identify(patched(IMAGE, at, bytes([IMAGE[at] ^ 1])), "x")


def test_an_image_that_says_nothing_of_itself_is_refused() -> None:
    at = IMAGE.index(b".digests")
    with pytest.raises(FormatError, match=r"no section \.digests"):
        identify(patched(IMAGE, at, b".other\0\0"), "x")


KERNELS = ("5.10", "6.1-rc2", "6.1", "6.1.9-cloud", "6.1.10-cloud", "6.12~rc3", "6.12")


@pytest.mark.parametrize(
    ("older", "newer"),
    [*itertools.pairwise(KERNELS)],
)
def test_kernels_have_an_order(older: str, newer: str) -> None:
    old, new = (identify(own_image("1", each), "x") for each in (older, newer))
    assert list(downgrades(new, old)) == []
    assert list(downgrades(old, new)) == [f"Linux {older}, {newer} is in use"]


def test_the_same_image_is_no_downgrade() -> None:
    assert list(downgrades(identify(IMAGE, "x"), identify(IMAGE, "x"))) == []
    more = identify(own_image("1", sbat=SBAT + b"new,1\n"), "x")
    assert list(downgrades(more, identify(own_image("1"), "x"))) == []


OWNER = authority("a machine's owner")
SIGNED = OWNER.sign(IMAGE)
OTHER = authority(UEFI_CA_2011)


def test_who_is_asked_vouches_for_what_he_has_signed() -> None:
    assert check_signatures(SIGNED, "x", [OTHER.der, OWNER.der], None)
    assert check_signatures(SIGNED, "x", [], Trust(certificates(OWNER.der), ()))
    assert not check_signatures(IMAGE, "x", [], None)
    assert identify(SIGNED, "x").pykexec == "1.2"


@pytest.mark.parametrize("data", [IMAGE, SIGNED])
def test_what_another_has_signed_or_nobody_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError, match=f"x: not signed by {UEFI_CA_2011}"):
        check_signatures(data, "x", [OTHER.der], None)


@pytest.mark.parametrize(
    ("data", "trust", "why"),
    [
        (IMAGE, Trust((), ()), "has no signature"),
        (SIGNED, Trust(certificates(OTHER.der), ()), "which is not in db"),
        (SIGNED, Trust(certificates(OWNER.der), certificates(OWNER.der)), "dbx forbids it"),
    ],
)
def test_what_the_firmware_would_not_start_is_refused(data: bytes, trust: Trust, why: str) -> None:
    with pytest.raises(FormatError, match=f"x: the firmware would not start it: .*{why}"):
        check_signatures(data, "x", [], trust)


def test_certificates_are_read_as_pem_or_der() -> None:
    pem = x509.load_der_x509_certificate(OWNER.der).public_bytes(Encoding.PEM)
    assert read_certificates(pem, "x") == (OWNER.der,)
    assert read_certificates(b"text\n" + pem + pem, "x") == (OWNER.der, OWNER.der)
    assert read_certificates(OWNER.der, "x") == (OWNER.der,)


@pytest.mark.parametrize("data", [b"", b"none", b"-----BEGIN CERTIFICATE-----\n!!\n"])
def test_what_is_no_certificate_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError, match=r"^x: "):
        read_certificates(data, "x")
