# SPDX-License-Identifier: Apache-2.0
"""Keys are tried on the machine's volumes before anybody relies on them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from pykexec.attest.key_report import KeyVerdict
from pykexec.attest.opened import OpenedSecret
from pykexec.disk.luks_unlock import Room
from pykexec.guest.try_keys import try_keys
from pykexec.run import run
from pykexec.secret import Secret
from pykexec.vm.packages import BITLOCKER_IMAGES, fetch_archive
from pykexec.windows.disks import Disk, open_disk
from tests.support.bitlocker import VOLUME, Way, volume
from tests.support.windows_disk import disk, whole

ROOM = Room(64 << 20, 256 << 20)
UUID = "33333333-3333-4333-8333-333333333333"
OTHER = "44444444-4444-4444-8444-444444444444"
STARTUP = "4381f759-c4f8-4de0-bb61-fc33a831bda5"
HALF = "4381f759-c4f8-4de0-bb61-fc33a831bda6"
KEY = bytes(range(32))
PASSWORD = b"-".join([b"000011"] * 8)


def secret(kind: str, value: bytes, parameters: Mapping[str, str], use: str = "") -> OpenedSecret:
    """Of the name "key"."""
    kept = Secret(len(value))
    kept.view[:] = value
    return OpenedSecret("key", kind, parameters, kept, use)


@pytest.fixture(name="luks", scope="module")
def luks_fixture(tmp_path_factory: pytest.TempPathFactory) -> Disk:
    """A whole disk that is one volume."""
    path: Path = tmp_path_factory.mktemp("luks") / "volume"
    with open(path, "wb") as image:
        image.truncate(20 << 20)
    words = ["cryptsetup", "luksFormat", "-q", "--type=luks2", "--disable-locks", f"--uuid={UUID}"]
    words += ["--pbkdf=pbkdf2", "--pbkdf-force-iterations=1000", "--key-file=-"]
    environment = {"PATH": f"{os.environ.get('PATH', '/usr/bin')}:/usr/sbin:/sbin"}
    run([*words, path], env=environment, stdin=b"passphrase", timeout_s=120)
    return whole("disk 1", path.read_bytes())


def windows() -> Disk:
    """With a startup key, one half, and somebody else's recovery password."""
    ways = [Way(STARTUP, 0x200, KEY), Way(HALF, 0x300, KEY), Way(OTHER, 0x800)]
    return whole("disk 2", disk({}, volume(ways)))


def tried(found: OpenedSecret, *disks: Disk) -> KeyVerdict:
    """What is said of it."""
    (verdict,) = try_keys([found], [("key", found.use)], disks, ROOM)
    found.value.wipe()
    return verdict


@pytest.mark.parametrize(
    ("value", "parameters", "fits", "words"),
    [
        (b"passphrase", {"volume": UUID}, True, "disk 1: key slot 0 opens"),
        (b"passphrase", {"volume": f"{{{UUID.upper()}}}"}, True, "key slot 0 opens"),
        (b"passphrase", {}, True, "key slot 0 opens"),
        (b"passphrase", {"volume": "root"}, True, "key slot 0 opens"),
        (b"another", {"volume": UUID}, False, "disk 1: none of 1 key slots opens"),
        (b"passphrase", {"volume": OTHER}, None, "no such volume"),
    ],
)
def test_a_passphrase_is_tried_on_the_volume_that_is_meant(
    luks: Disk, value: bytes, parameters: dict[str, str], fits: bool | None, words: str
) -> None:
    found = tried(secret("luks-passphrase", value, parameters, "try"), windows(), luks)
    assert (found.name, found.use, found.fits) == ("key", "try", fits)
    assert words in found.text


@pytest.mark.parametrize(
    ("identifier", "value", "fits", "words"),
    [
        (STARTUP, KEY, True, "startup key"),
        (STARTUP, KEY[::-1], False, "is not opened by it"),
        (HALF, KEY, None, "one half"),
        (UUID, KEY, False, "no protector is called"),
    ],
)
def test_a_startup_key_is_tried_on_its_protector(
    luks: Disk, identifier: str, value: bytes, fits: bool | None, words: str
) -> None:
    parameters = {"identifier": identifier, "volume": str(VOLUME)}
    found = tried(secret("bitlocker-external-key", value, parameters), luks, windows())
    assert found.fits is fits and words in found.text


@pytest.mark.parametrize(
    ("value", "parameters", "fits", "words"),
    [
        (PASSWORD, {}, False, "none of 1 recovery passwords is this"),
        (PASSWORD, {"volume": OTHER}, None, "no such volume"),
        (PASSWORD[:-1], {}, False, "none of 1 recovery passwords is this"),
    ],
)
def test_a_recovery_password_that_is_none_of_the_volumes_is_found_out(
    value: bytes, parameters: dict[str, str], fits: bool | None, words: str
) -> None:
    found = tried(secret("bitlocker-recovery-password", value, parameters, "try"), windows())
    assert found.fits is fits and words in found.text


def test_a_recovery_password_of_a_volume_of_windows_fits() -> None:
    image = fetch_archive(BITLOCKER_IMAGES) / "bitlk-images/bitlk-aes-xts-128.img"
    password = b"235818-357951-253979-013365-241120-245575-342914-591910"
    with open_disk(str(image)) as found:
        verdict = tried(secret("bitlocker-recovery-password", password, {}), found)
    assert verdict.fits and "recovery password" in verdict.text


def test_what_is_not_wanted_is_not_tried(luks: Disk) -> None:
    found = secret("luks-passphrase", b"passphrase", {})
    assert try_keys([found], [("key", "try"), ("other", "")], [luks], ROOM) == []
    file = secret("file", b"x", {"file": "x"})
    assert try_keys([file], [("key", "")], [luks], ROOM) == []


def test_a_disk_that_cannot_be_read_is_told_and_the_others_are_tried(luks: Disk) -> None:
    def broken(offset: int, size: int) -> bytes:
        raise OSError(5, "Input/output error")

    bad = Disk("bad", broken, luks.read_secret, 1 << 20, 512)
    key = secret("luks-passphrase", b"passphrase", {})
    (verdict,) = try_keys([key], [("key", "")], [bad, luks], ROOM)
    assert verdict.fits
