# SPDX-License-Identifier: Apache-2.0
"""Startup keys of BitLocker: byte for byte as Windows writes them."""

from __future__ import annotations

import pytest

from pykexec.disk import bek
from pykexec.efi.guid import Guid
from pykexec.errors import FormatError

IDENTIFIER = Guid.parse("00112233-4455-6677-8899-aabbccddeeff")
VOLUME = Guid.parse("5a95db04-6ebc-4ba9-99a3-15a87a3d07b2")
KEY = bytes(range(100, 132))
# A file of Windows 10 with another key, GUID and time in it: what every such file has.
WINDOWS_10 = (
    bytes.fromhex(
        "9c00000001000000300000009c000000"
        "33221100554477668899aabbccddeeff"
        "010000000000000000803ed5deb19d01"
        "6c0006000900010033221100554477668899aabbccddeeff00803ed5deb19d01"
        "2000000002000100450078007400650072006e0061006c004b00650079000000"
        "2c0000000100010002200000"
    )
    + KEY
)


def written(volume: Guid | None) -> bytearray:
    out = bytearray(bek.size(volume))
    bek.write(memoryview(out), memoryview(KEY), IDENTIFIER, volume, 0)
    return out


def test_a_file_is_what_windows_10_writes() -> None:
    assert bytes(written(None)) == WINDOWS_10
    assert len(WINDOWS_10) == 156


def test_windows_11_adds_the_volume() -> None:
    data = written(VOLUME)
    assert len(data) == 180
    assert bek.read(memoryview(data), "x") == bek.Bek(IDENTIFIER, VOLUME, 148)
    entry = bytes.fromhex("1800190017000100") + VOLUME.data
    without = data.replace(entry, b"").replace(b"\xb4\0\0\0", b"\x9c\0\0\0")
    assert without.replace(b"\x84\0\x06\0", b"\x6c\0\x06\0") == WINDOWS_10


def test_the_name_is_the_identifier_in_capitals() -> None:
    assert bek.file_name(IDENTIFIER) == "00112233-4455-6677-8899-AABBCCDDEEFF.BEK"


def test_the_key_is_found_again() -> None:
    found = bek.read(memoryview(WINDOWS_10), "x")
    assert found.volume is None
    assert WINDOWS_10[found.key_offset : found.key_offset + 32] == KEY


@pytest.mark.parametrize("cut", range(0, 156))
def test_a_truncated_file_is_refused(cut: int) -> None:
    with pytest.raises(FormatError):
        bek.read(memoryview(WINDOWS_10[:cut]), "x")


@pytest.mark.parametrize("offset", [0, 4, 8, 12, 48, 50, 52, 80, 112, 116])
def test_a_changed_structure_is_refused(offset: int) -> None:
    data = bytearray(WINDOWS_10)
    data[offset] ^= 0x55
    with pytest.raises(FormatError):
        bek.read(memoryview(data), "x")


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_key_has_32_bytes(size: int) -> None:
    with pytest.raises(FormatError, match="not 32"):
        bek.write(memoryview(bytearray(156)), memoryview(bytes(size)), IDENTIFIER, None, 0)


PASSWORD = b"363770-230505-096371-652674-567006-579150-291038-408111"


def test_a_recovery_password_is_known_by_its_groups() -> None:
    bek.check_recovery_password(memoryview(PASSWORD), "x")


@pytest.mark.parametrize(
    ("password", "fault"),
    [
        (PASSWORD[:-1], "8 groups of 6"),
        (PASSWORD.replace(b"363770", b"363771"), "group 1 is mistyped"),
        (PASSWORD.replace(b"408111", b"720896"), "group 8 is mistyped"),
        (PASSWORD.replace(b"363770", b"36377x"), "group 1 is not 6 digits"),
        (PASSWORD.replace(b"-", b" "), "separated"),
    ],
)
def test_a_mistyped_recovery_password_is_refused_without_telling_it(
    password: bytes, fault: str
) -> None:
    with pytest.raises(FormatError, match=fault) as caught:
        bek.check_recovery_password(memoryview(password), "x")
    assert "363770" not in str(caught.value)
