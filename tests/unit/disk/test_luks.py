# SPDX-License-Identifier: Apache-2.0
"""LUKS2 volumes that cryptsetup made: which key opens them, and what other slots would take."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pykexec.disk import reader
from pykexec.disk.luks import Luks, parse_metadata, read_luks
from pykexec.disk.luks_unlock import Room, Trial, try_luks
from pykexec.errors import FormatError
from pykexec.run import run

UUID = "33333333-3333-4333-8333-333333333333"
KEYS = (b"a passphrase", bytes(range(64)))
ROOM = Room(64 << 20, 256 << 20)
_ENV = {"PATH": f"{os.environ.get('PATH', '/usr/bin')}:/usr/sbin:/sbin"}
_PBKDF2 = ["--pbkdf=pbkdf2", "--pbkdf-force-iterations=1000"]
_ARGON2 = [
    "--pbkdf=argon2id",
    "--pbkdf-memory=32",
    "--pbkdf-parallel=1",
    "--pbkdf-force-iterations=4",
]


def _cryptsetup(path: Path, key: bytes, *words: str | Path) -> None:
    command = ["cryptsetup", words[0], "-q", "--disable-locks", *words[1:]]
    run([*command], env=_ENV, stdin=key, timeout_s=120)


def _format(path: Path, *words: str) -> Path:
    """A volume that the first key opens."""
    with open(path, "wb") as image:
        image.truncate(20 << 20)
    options = ["--type=luks2", f"--uuid={UUID}", "--key-file=-", *words]
    _cryptsetup(path, KEYS[0], "luksFormat", *options, path)
    return path


@pytest.fixture(name="volume", scope="module")
def volume_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a slot for either key, and one by Argon2 for another."""
    path = _format(tmp_path_factory.mktemp("luks") / "volume", *_PBKDF2)
    known, new = path.with_name("known"), path.with_name("new")
    known.write_bytes(KEYS[0])
    for value, words in ((KEYS[1], _PBKDF2), (b"slow", _ARGON2)):
        new.write_bytes(value)
        _cryptsetup(path, b"", "luksAddKey", f"--key-file={known}", *words, path, new)
    return path


def trial(path: Path, key: bytes, room: Room = ROOM) -> Trial:
    """What comes of one key."""
    fd = os.open(path, os.O_RDONLY)
    try:
        found = read_luks(reader(fd), "volume")
        assert found and found.uuid == UUID
        return try_luks(found, reader(fd), memoryview(key), room)
    finally:
        os.close(fd)


@pytest.mark.parametrize("slot", [0, 1])
def test_a_key_opens_its_slot(volume: Path, slot: int) -> None:
    assert trial(volume, KEYS[slot]) == Trial(True, f"key slot {slot} opens")


def test_what_argon2_would_take_is_told_and_nothing_is_promised(volume: Path) -> None:
    found = trial(volume, b"slow")
    assert found.fits is None
    assert found.text.startswith("key slot 2: argon2id takes 32 KiB of memory; for random keys")
    small = trial(volume, b"slow", Room(16 << 10, 256 << 20))
    assert "16 KiB are available: an arena of 257 MiB would do" in small.text


@pytest.mark.parametrize("key", [b"a passphras", b"a passphrase\n", b"", b"slow"])
def test_another_key_opens_nothing(tmp_path: Path, key: bytes) -> None:
    path = _format(tmp_path / "volume", *_PBKDF2)
    assert trial(path, key) == Trial(False, "none of 1 key slots opens")


@pytest.mark.parametrize(
    "words",
    [
        ("--key-size=256", "--hash=sha512"),
        ("--key-size=512", "--hash=sha512", "--sector-size=4096"),
    ],
)
def test_other_hashes_and_sizes(tmp_path: Path, words: tuple[str, ...]) -> None:
    path = _format(tmp_path / "volume", *_PBKDF2, *words)
    assert trial(path, KEYS[0]).fits
    assert not trial(path, KEYS[1]).fits


def test_a_flipped_bit_of_the_area_opens_nothing(tmp_path: Path) -> None:
    path = _format(tmp_path / "volume", *_PBKDF2)
    _flip(path, 0x8000 + 100)
    assert trial(path, KEYS[0]).fits is False


def test_the_second_header_counts_where_the_first_is_damaged(tmp_path: Path) -> None:
    path = _format(tmp_path / "volume", *_PBKDF2)
    # Of the label, which nothing but the checksum looks at.
    _flip(path, 24)
    assert trial(path, KEYS[0]).fits
    _flip(path, 0x4000 + 24)
    with pytest.raises(FormatError, match="volume: no copy of the LUKS2 header is right"):
        trial(path, KEYS[0])


def _flip(path: Path, offset: int) -> None:
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


def test_what_is_no_luks_is_none(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.write_bytes(bytes(1 << 20))
    fd = os.open(path, os.O_RDONLY)
    assert read_luks(reader(fd), "empty") is None
    os.close(fd)


GOOD: dict[str, object] = {
    "type": "luks2",
    "key_size": 64,
    "af": {"type": "luks1", "stripes": 4000, "hash": "sha256"},
    "area": {
        "type": "raw",
        "offset": "32768",
        "size": "258048",
        "encryption": "aes-xts-plain64",
        "key_size": 64,
    },
    "kdf": {"type": "pbkdf2", "hash": "sha256", "iterations": 1000, "salt": "AAAA"},
}
DIGEST = {
    "type": "pbkdf2",
    "keyslots": ["0"],
    "hash": "sha256",
    "iterations": 1000,
    "salt": "AAAA",
    "digest": "AAAA",
}


def _metadata(slot: object, digest: object = DIGEST) -> Luks:
    text = json.dumps({"keyslots": {"0": slot}, "digests": {"0": digest}})
    return parse_metadata(text.encode(), UUID)


def test_the_good_slot_is_good() -> None:
    assert len(_metadata(GOOD).slots) == 1 and not _metadata(GOOD).faults


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"type": "reencrypt"}, "is of type 'reencrypt'"),
        ({"key_size": 65}, "key_size: is not from 1 to 64"),
        ({"key_size": True}, "key_size"),
        ({"af": None}, "af: is no object"),
        ({"af": {"stripes": 4001, "hash": "sha256"}}, "stripes: is not from 1 to 4000"),
        ({"kdf": {"type": "scrypt"}}, "key by 'scrypt'"),
        (
            {"kdf": {"type": "pbkdf2", "hash": "sha256", "iterations": 0, "salt": "AAAA"}},
            "iterations",
        ),
        ({"kdf": {"type": "pbkdf2", "hash": "sha256", "iterations": 1, "salt": "?"}}, "no base64"),
        ({"area": {"offset": "x", "size": "1", "encryption": "", "key_size": 64}}, "offset"),
        ({"area": {"offset": "1", "size": "9" * 19, "encryption": "", "key_size": 64}}, "size"),
    ],
)
def test_a_slot_that_is_none_is_told_and_left_out(change: dict[str, object], fault: str) -> None:
    found = _metadata({**GOOD, **change})
    assert found.slots == () and fault in found.faults[0]
    trial_ = try_luks(found, lambda offset, size: b"", memoryview(b"key"), ROOM)
    assert trial_.fits is None and fault in trial_.text


def test_a_slot_without_digest_says_nothing() -> None:
    assert "no digest" in _metadata(GOOD, {**DIGEST, "keyslots": ["1"]}).faults[0]


def _changed(part: str, **values: object) -> dict[str, object]:
    before = GOOD[part]
    assert isinstance(before, dict)
    return {part: {**before, **values}}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_changed("kdf", iterations=10_000_001), "take too long"),
        (_changed("area", encryption="serpent-xts"), "encrypted by 'serpent-xts'"),
        (_changed("area", size="512"), "is too small"),
        (_changed("area", key_size=16), "of a kind that is not known"),
        (_changed("af", hash="md99"), "of a kind that is not known"),
        (_changed("kdf", hash="md99"), "of a kind that is not known"),
        ({}, "is cut off"),
    ],
)
def test_what_cannot_be_tried_is_not_said_to_be_wrong(change: dict[str, object], why: str) -> None:
    size = 0 if not change else 1 << 20
    found = _metadata({**GOOD, **change})
    trial_ = try_luks(found, lambda _, wanted: bytes(min(size, wanted)), memoryview(b"key"), ROOM)
    assert trial_.fits is None and why in trial_.text
