# SPDX-License-Identifier: Apache-2.0
"""BitLocker volumes of Windows, as cryptsetup reads them, and such as Windows never made."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from pykexec.disk import Reader
from pykexec.errors import FormatError
from pykexec.run import run
from pykexec.windows.bitlocker import Volume, is_bitlocker, read_volume
from pykexec.windows.keys import read_bek
from pykexec.windows.unlock import opens, opens_by_password
from tests.support import bitlocker
from tests.support.bitlocker import OFFSETS, SIZE, Way, volume

IMAGES = (
    "aes-cbc-128-4k",
    "aes-cbc-128",
    "aes-cbc-256",
    "aes-cbc-elephant-128",
    "aes-cbc-elephant-256",
    "aes-xts-128-4k",
    "aes-xts-128-eow",
    "aes-xts-128-new-entry",
    "aes-xts-128-smart-card",
    "aes-xts-128-startup-key-win11",
    "aes-xts-128-startup-key",
    "aes-xts-128",
    "aes-xts-256",
    "clearkey-aes-cbc-128",
    "togo-aes-cbc-128",
    "togo-aes-xts-128",
)
METHODS = {
    "cbc-eboiv": "AES-CBC",
    "cbc-elephant": "AES-CBC with diffuser",
    "xts-plain64": "XTS-AES",
}
KINDS = {
    "VMK protected with clear key": "clear key",
    "VMK protected with TPM": "TPM",
    "VMK protected with startup key": "startup key",
    "VMK protected with TPM and PIN": "TPM and PIN",
    "VMK protected with passphrase": "password",
    "VMK protected with recovery passphrase": "recovery password",
    "VMK protected with smart card": "certificate",
}
STARTUP_KEYS = {
    "aes-xts-128-startup-key": "4381F759-C4F8-4DE0-BB61-FC33A831BDA5",
    "aes-xts-128-startup-key-win11": "AA80A52B-9B66-47AE-B097-33F536FFBB07",
}
KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))
GUIDS = [f"{digit * 8}-0000-4000-8000-{digit * 12}" for digit in "123456789abcdef"]


def reader(data: bytes) -> Reader:
    return lambda offset, size: data[offset : offset + size]


def read(data: bytes) -> Volume:
    found = read_volume(reader(data), "disk")
    assert found
    return found


def image(images: Path, name: str) -> Volume:
    with open(images / f"bitlk-{name}.img", "rb") as file:

        def at(offset: int, size: int) -> bytes:
            file.seek(offset)
            return file.read(size)

        found = read_volume(at, name)
    assert found
    return found


def dumped(path: Path) -> tuple[str, str, list[tuple[str, str]]]:
    """What cryptsetup says: the volume's GUID, its method, kind and GUID of its protectors."""
    text = run(["cryptsetup", "bitlkDump", path]).decode()
    (guid,) = re.findall(r"^GUID:\s+(\S+)$", text, re.MULTILINE)
    (mode,) = re.findall(r"^Cipher mode:\s+(\S+)$", text, re.MULTILINE)
    kinds = re.findall(r"GUID:\s+(\S+)\n\s+Protection:\s+(.+)\n", text)
    return guid, METHODS[mode], [(KINDS.get(kind, kind), identifier) for identifier, kind in kinds]


def ours(found: Volume) -> tuple[str, str, list[tuple[str, str]]]:
    method = re.sub(" (128|256)", "", found.method)
    protectors = [(each.kind, str(each.identifier)) for each in found.protectors]
    return str(found.identifier), method, protectors


@pytest.mark.parametrize("name", IMAGES)
def test_a_volume_of_windows_is_read_as_cryptsetup_reads_it(images: Path, name: str) -> None:
    found = image(images, name)
    assert ours(found) == dumped(images / f"bitlk-{name}.img")
    assert found.to_go == name.startswith("togo")
    assert (found.state, found.faults) == ("encrypted", ())


@pytest.mark.parametrize(("name", "key"), STARTUP_KEYS.items())
def test_a_startup_key_of_windows_opens_its_volume_and_no_other(
    images: Path, name: str, key: str
) -> None:
    found = image(images, name)
    secret, startup = read_bek(str(images / f"{key}.BEK"))
    with secret:
        (protector,) = (p for p in found.protectors if p.identifier == startup.identifier)
        assert protector.kind == "startup key"
        assert opens(found, protector, startup.key)
        for other in set(STARTUP_KEYS.values()) - {key}:
            stranger, wrong = read_bek(str(images / f"{other}.BEK"))
            with stranger:
                assert not opens(found, protector, wrong.key)
        startup.key[7] ^= 1
        assert not opens(found, protector, startup.key)


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("aes-xts-128", "235818-357951-253979-013365-241120-245575-342914-591910"),
        ("togo-aes-cbc-128", "607552-529496-550902-707531-545787-248358-370216-060401"),
    ],
)
def test_a_recovery_password_of_windows_opens_its_volume_and_no_other(
    images: Path, name: str, password: str
) -> None:
    found = image(images, name)
    (protector,) = (p for p in found.protectors if p.kind == "recovery password")
    assert opens_by_password(found, protector, memoryview(password.encode()))
    other = memoryview(password.replace(password[:6], "000011", 1).encode())
    assert not opens_by_password(found, protector, other)


def test_a_clear_key_opens_its_volume(images: Path) -> None:
    found = image(images, "clearkey-aes-cbc-128")
    (protector,) = (p for p in found.protectors if p.kind == "clear key")
    assert protector.clear_key and opens(found, protector, protector.clear_key)


def test_every_kind_that_cryptsetup_knows_is_the_same_to_both(tmp_path: Path) -> None:
    path = tmp_path / "volume"
    ways = [
        Way(GUIDS[0], 0x0000, KEY),
        Way(GUIDS[1], 0x0100, pcrs=(7, 11)),
        Way(GUIDS[2], 0x0200, KEY),
        Way(GUIDS[3], 0x0500, pcrs=(0, 2, 4, 11)),
        Way(GUIDS[4], 0x0800),
        Way(GUIDS[5], 0x1000),
        Way(GUIDS[6], 0x2000),
    ]
    path.write_bytes(volume(ways))
    found = read(path.read_bytes())
    assert ours(found) == dumped(path)
    assert [each.pcrs for each in found.protectors][:4] == [None, (7, 11), None, (0, 2, 4, 11)]


@pytest.mark.parametrize(
    ("protection", "kind"),
    [
        (0x0300, "TPM and startup key"),
        (0x0700, "TPM, PIN and startup key"),
        (0x1100, "TPM and certificate"),
        (0x4100, "TPM and unknown kind 0x4000"),
    ],
)
def test_what_has_to_be_there_together_is_said(protection: int, kind: str) -> None:
    (protector,) = read(volume([Way(GUIDS[0], protection)])).protectors
    assert str(protector) == f"{kind} {{{GUIDS[0].upper()}}}"


def test_only_the_key_opens() -> None:
    found = read(volume([Way(GUIDS[0], 0x0200, KEY), Way(GUIDS[1], 0x0200, OTHER_KEY)]))
    first, second = found.protectors
    assert opens(found, first, KEY) and opens(found, second, OTHER_KEY)
    assert not opens(found, first, OTHER_KEY)
    assert not opens(found, second, KEY)


def test_a_master_key_that_does_not_vouch_for_the_metadata_opens_nothing() -> None:
    """A checksum anybody can make: the method, say, is changed, and the checksum with it."""

    block = bytearray(bitlocker.metadata([Way(GUIDS[0], 0x0200, KEY)]))
    proof = bitlocker.validation(bytes(block))[8:]
    struct.pack_into("<H", block, 64 + 36, 0x8002)
    data = bytearray(volume([Way(GUIDS[0], 0x0200, KEY)]))
    forged = bytes(block) + bitlocker.validation(bytes(block))[:8] + proof
    data[OFFSETS[0] : OFFSETS[0] + len(forged)] = forged
    found = read(bytes(data))
    assert found.method == "AES-CBC 128"
    assert not opens(found, found.protectors[0], KEY)


@pytest.mark.parametrize("nr_bad", [1, 2])
def test_a_copy_that_is_right_counts(nr_bad: int) -> None:
    data = bytearray(volume([Way(GUIDS[0], 0x0200, KEY)]))
    for offset in OFFSETS[:nr_bad]:
        data[offset + 0x70] ^= 1
    found = read(bytes(data))
    assert [each.identifier for each in found.protectors]
    assert found.faults == tuple(
        f"metadata at offset {offset:#x}: wrong checksum" for offset in OFFSETS[:nr_bad]
    )


def spoilt(at: int, data: bytes) -> bytes:
    """A volume whose three copies have other bytes somewhere, and right checksums."""
    found = bytearray(volume([Way(GUIDS[0], 0x0200, KEY)]))
    block = bytearray(bitlocker.metadata([Way(GUIDS[0], 0x0200, KEY)]))
    block[at : at + len(data)] = data
    for offset in OFFSETS:
        whole = bytes(block) + bitlocker.validation(bytes(block))
        found[offset : offset + len(whole)] = whole
    return bytes(found)


FIRST = 64 + 48
"""Where the first entry is, the description: 8 bytes, and twice its 15 characters and a NUL."""
PROTECTOR = FIRST + 8 + 2 * 16


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (spoilt(10, b"\3\0"), "metadata of version 3 at offset 0x10000"),
        (spoilt(0, b"x"), "no metadata at offset 0x10000"),
        (spoilt(64, b"\xff\xff\0\0"), "metadata of 65535 bytes, 48 to"),
        (spoilt(64 + 8, b"\1"), "metadata of"),
        (spoilt(FIRST, b"\7\0"), "metadata offset 0x70: entry of 7 bytes"),
        (spoilt(FIRST, b"\xff\xff"), "metadata offset 0x70: entry of 65535 bytes"),
        (spoilt(PROTECTOR, b"\x10\0"), "protector of 8 bytes"),
        (spoilt(PROTECTOR + 36, b"\x20\0"), "encrypted key of 24 bytes"),
        (volume([])[: OFFSETS[0] + 100] + bytes(SIZE), "metadata at offset 0x10000"),
        (volume([])[:160] + bytes(16) + volume([])[176:], "Windows Vista"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_metadata_that_is_none_is_named(data: bytes, fault: str) -> None:
    with pytest.raises(FormatError) as error:
        read(data)
    assert str(error.value).startswith("disk: ")
    assert fault in str(error.value)


def test_other_volumes_are_none() -> None:
    ntfs = bytearray(volume([]))
    ntfs[3:11] = b"NTFS    "
    fat = bytearray(volume([], to_go=True))
    assert is_bitlocker(reader(bytes(fat)))
    fat[424:440] = bytes(16)
    for data in (b"", b"\0" * 512, volume([])[:200], bytes(ntfs), bytes(fat)):
        assert not is_bitlocker(reader(data))
        assert read_volume(reader(data), "disk") is None
