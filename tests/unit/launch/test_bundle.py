# SPDX-License-Identifier: Apache-2.0
"""A bundle is used as it was signed, or not at all."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pykexec.errors import FormatError, UsageError
from pykexec.launch.bundle import public_bytes, read_key, write_bundle
from pykexec.launch.dom0.bundle import (
    ALIGNMENT,
    HEAD,
    HEADER_MAX,
    BundleError,
    check_version,
    chunks,
    open_bundle,
    parse_header,
    signed_part,
    verify,
)
from tests.unit.launch.inputs import (
    BUNDLE,
    CONTENTS,
    KEY,
    PUBLIC,
    SERVICE,
    USER,
    of_version,
    reading,
    second,
)

OPENED = open_bundle(reading(BUNDLE), PUBLIC)
SIGNATURE = HEAD.size
HEADER = SIGNATURE + 64
HEADER_SIZE = HEAD.unpack_from(BUNDLE)[2]
FIELDS = json.loads(BUNDLE[HEADER : HEADER + HEADER_SIZE])


def spoilt(offset: int) -> bytes:
    """With one bit changed."""
    return BUNDLE[:offset] + bytes([BUNDLE[offset] ^ 1]) + BUNDLE[offset + 1 :]


def signed(header: bytes) -> bytes:
    """Whatever header, signed by the right key."""
    return HEAD.pack(b"PKBUNDLE", 1, len(header)) + KEY.sign(signed_part(header)) + header


def changed(**fields: object) -> bytes:
    """The header with other fields, signed."""
    return signed(json.dumps({**FIELDS, **fields}).encode())


def test_what_was_written_is_read() -> None:
    assert (OPENED.name, OPENED.version, OPENED.domains) == ("office", 7, (SERVICE, USER))
    assert {f.path: b"".join(chunks(reading(BUNDLE), f)) for f in OPENED.files} == CONTENTS
    assert not any(file.offset % ALIGNMENT for file in OPENED.files)
    verify(reading(BUNDLE), OPENED)


def test_equal_inputs_make_equal_bytes() -> None:
    assert of_version(7) == BUNDLE != of_version(8)


def test_every_bit_of_head_signature_and_header_counts() -> None:
    for offset in [*range(0, HEADER, 3), HEADER, HEADER + HEADER_SIZE // 2,
                   HEADER + HEADER_SIZE - 1]:  # fmt: skip
        with pytest.raises(BundleError):
            open_bundle(reading(spoilt(offset)), PUBLIC)


def test_another_key_s_signature_is_none() -> None:
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    with pytest.raises(BundleError, match=r"^bundle: signature: not that of this key"):
        open_bundle(reading(BUNDLE), public_bytes(other))


def test_nothing_is_parsed_before_the_signature_is_verified() -> None:
    head = HEAD.pack(b"PKBUNDLE", 1, 4)
    with pytest.raises(BundleError, match="signature"):
        open_bundle(reading(head + bytes(64) + b"{{{{"), PUBLIC)


@pytest.mark.parametrize("path", [path for path, data in CONTENTS.items() if data])
def test_a_byte_of_a_file_is_found_and_the_file_named(path: str) -> None:
    file = OPENED.file(path)
    with pytest.raises(BundleError, match=f"^bundle: {path}: its SHA-256 is"):
        list(chunks(reading(spoilt(file.offset + file.size - 1)), file))
    with pytest.raises(BundleError, match=path):
        verify(reading(spoilt(file.offset)), OPENED)


def test_what_is_cut_off_is_found() -> None:
    for end in (0, 15, HEADER - 1, HEADER + HEADER_SIZE - 1):
        with pytest.raises(BundleError, match="truncated"):
            open_bundle(reading(BUNDLE[:end]), PUBLIC)
    with pytest.raises(BundleError, match=r"^bundle: pc/kernel: truncated"):
        verify(reading(BUNDLE[: OPENED.file("pc/kernel").offset]), OPENED)


def test_a_header_is_not_read_when_it_is_too_large() -> None:
    def read(offset: int, size: int) -> bytes:
        assert size <= HEADER_MAX
        return HEAD.pack(b"PKBUNDLE", 1, HEADER_MAX + 1)[:size]

    with pytest.raises(BundleError, match="a header of 1048577 bytes"):
        open_bundle(read, PUBLIC)


@pytest.mark.parametrize(
    ("head", "fault"),
    [(b"PKBUNDLF", "this is none"), (b"PKBUNDLE" + struct.pack("<I", 2), "format 2, not 1")],
)
def test_what_is_no_bundle_says_so(head: bytes, fault: str) -> None:
    with pytest.raises(BundleError, match=fault):
        open_bundle(reading(head + BUNDLE[len(head) :]), PUBLIC)


def file(path: str = "a", size: object = 1, sha256: str = "0" * 64) -> dict[str, object]:
    """An entry of the header."""
    return {"path": path, "size": size, "sha256": sha256}


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"files": [file("../etc/passwd")]}, r"files\[0\].path: '../etc/passwd': no path"),
        ({"files": [file("/etc")]}, "no path of a bundle"),
        ({"files": [file("a"), file("a")]}, r"files\[1\].path: 'a': no path of a bundle, or there"),
        ({"files": [file(size=-1)]}, r"files\[0\].size: must be from 0"),
        ({"files": [file(size=1 << 40)]}, r"files\[0\].size: must be from 0"),
        ({"files": [file(sha256="0")]}, r"files\[0\].sha256: not a SHA-256"),
        ({"files": []}, "no file 'filter/kernel'"),
        ({"version": -1}, "version: must be from 0"),
        ({"surprise": 1}, "surprise: unknown key"),
        ({"domains": [{"name": "a"}]}, r"domains\[0\].memory_mib: missing"),
        ({"domains": [{**FIELDS["domains"][0], "vtpm": True}]}, r"domains\[0\].vtpm: unknown key"),
        ({"domains": FIELDS["domains"][:1] * 2}, r"domains\[1\].name: 'filter' is filter's"),
        ({"domains": FIELDS["domains"][1:]}, r"domains\[0\].network: there is no service domain"),
    ],
)
def test_a_signed_header_that_makes_no_sense_is_refused(
    fields: dict[str, object], fault: str
) -> None:
    with pytest.raises(FormatError, match=fault):
        open_bundle(reading(changed(**fields)), PUBLIC)


def test_a_signed_header_that_is_no_json_is_refused() -> None:
    with pytest.raises(FormatError, match=r"^bundle: not JSON"):
        open_bundle(reading(signed(b"{")), PUBLIC)


def test_files_cannot_lie_over_each_other() -> None:
    ends = [(each.offset, each.offset + each.size) for each in OPENED.files]
    assert all(end <= start for (_, end), (start, _) in pairwise(ends))
    assert ends[0][0] >= HEADER + HEADER_SIZE


def test_the_file_s_digest_is_the_header_s() -> None:
    header = BUNDLE[HEADER : HEADER + HEADER_SIZE]
    assert OPENED.sha256 == hashlib.sha256(header).hexdigest() == parse_header(header).sha256


def test_an_older_bundle_is_refused_unless_that_is_allowed() -> None:
    check_version(OPENED, "office", 7, False)
    check_version(OPENED, "office", 8, True)
    with pytest.raises(BundleError, match="version 7 is older than 8, and the manifest allows no"):
        check_version(OPENED, "office", 8, False)


def test_another_launch_s_bundle_is_refused() -> None:
    with pytest.raises(BundleError, match="is 'office', not 'lab'"):
        check_version(OPENED, "lab", 1, True)


def test_what_dom0_would_refuse_is_not_written() -> None:
    with pytest.raises(FormatError, match="no service domain"):
        write_bundle(KEY, "office", 1, [USER], CONTENTS)
    with pytest.raises(FormatError, match="no file 'filter/kernel'"):
        write_bundle(KEY, "office", 1, [second(SERVICE)], {})


def pem(key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def keys() -> Iterator[tuple[bytes, str]]:
    yield pem(ec.generate_private_key(ec.SECP256R1())), "not a key of Ed25519"
    yield b"nonsense", "no private key in PEM"


@pytest.mark.parametrize(("data", "fault"), list(keys()))
def test_a_key_of_another_kind_is_named(data: bytes, fault: str, tmp_path: Path) -> None:
    (tmp_path / "a.pem").write_bytes(pem(KEY))
    assert public_bytes(read_key(tmp_path / "a.pem")) == PUBLIC
    (tmp_path / "a.pem").write_bytes(data)
    with pytest.raises(UsageError, match=f"a.pem: {fault}"):
        read_key(tmp_path / "a.pem")
