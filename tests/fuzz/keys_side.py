# SPDX-License-Identifier: Apache-2.0
"""Keys that are tried and reported: LUKS2 headers, and what agents say of keys."""

from __future__ import annotations

import hashlib
import json
import struct

from pykexec.attest import key_report
from pykexec.attest.key_report import KeyVerdict
from pykexec.disk.luks import parse_metadata, read_luks
from pykexec.disk.luks_unlock import Room, try_luks

_UUID = "33333333-3333-4333-8333-333333333333"
_HEAD_SIZE, _HEADER_SIZE = 4096, 16 << 10
_ROOM = Room(1 << 20, 1 << 28)


def luks(data: bytes) -> None:
    """As a header whose checksum is right, with these as its metadata, and as a volume."""
    read_luks(lambda offset, size: data[offset : offset + size], "x")
    header = _header(data[: _HEADER_SIZE - _HEAD_SIZE])
    assert read_luks(lambda offset, size: header[offset : offset + size], "x")
    found = parse_metadata(data, _UUID)
    trial = try_luks(
        found, lambda offset, size: data[offset : offset + size], memoryview(b"k"), _ROOM
    )
    assert not trial.fits and trial.text.isprintable()


def _header(metadata: bytes) -> bytes:
    head = struct.pack(
        ">6sHQQ48s32s64s40s48sQ184s",
        b"LUKS\xba\xbe",
        2,
        _HEADER_SIZE,
        1,
        b"",
        b"sha256",
        b"",
        _UUID.encode(),
        b"",
        0,
        b"",
    )
    whole = (head + bytes(_HEAD_SIZE - len(head)) + metadata).ljust(_HEADER_SIZE, b"\0")
    digest = hashlib.sha256(whole).digest()
    return whole[: len(head)] + digest + whole[len(head) + len(digest) :]


def luks_metadata() -> list[bytes]:
    """With a slot by either way."""
    salt = "AAAAAAAAAAAAAAAAAAAAAA=="
    area = {"type": "raw", "offset": "32768", "size": "258048", "key_size": 64}
    pbkdf2 = {"type": "pbkdf2", "hash": "sha256", "iterations": 1, "salt": salt}
    argon2 = {"type": "argon2id", "time": 4, "memory": 1048576, "cpus": 4, "salt": salt}
    slots = {
        str(number): {
            "type": "luks2",
            "key_size": 64,
            "af": {"type": "luks1", "stripes": 1, "hash": "sha256"},
            "area": {**area, "encryption": "aes-xts-plain64", "offset": "1", "size": "512"},
            "kdf": kdf,
        }
        for number, kdf in enumerate((pbkdf2, argon2))
    }
    digest = {**pbkdf2, "keyslots": ["0", "1"], "digest": "A" * 43 + "="}
    found = {"keyslots": slots, "digests": {"0": digest}, "config": {"json_size": "12288"}}
    return [json.dumps(found).encode(), json.dumps({"keyslots": {}, "digests": {}}).encode()]


def report(data: bytes) -> None:
    """The message, and what is signed in it."""
    key_report.parse_verdicts(key_report.parse_key_report(data).said)


def reports() -> list[bytes]:
    """With a verdict of each kind."""
    verdicts = [KeyVerdict("disk", use, fits, "words") for use, fits in (("", True), ("try", None))]
    return [key_report.report_of("ticket", bytes(32), verdicts).encode()]


def rights() -> list[bytes]:
    """What a release brings."""
    return [key_report.encode_rights("ticket", bytes(32), [("disk", ""), ("disk", "try")])]
