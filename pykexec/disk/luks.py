# SPDX-License-Identifier: Apache-2.0
"""LUKS2 headers as untrusted bytes, and whether a key slot is opened by what is at hand.

LUKS2 On-Disk Format Specification 1.1.0. Of two copies the first that is right counts. Slots by
PBKDF2 are tried; what Argon2 would take is told.
"""

from __future__ import annotations

import binascii
import hashlib
import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pykexec.disk import Reader
from pykexec.errors import FormatError

_HEAD = struct.Struct(">6sHQQ48s32s64s40s48sQ184s64s")
_BINARY_SIZE = 4096
_MAGICS = (b"LUKS\xba\xbe", b"SKUL\xba\xbe")
_CHECKSUM_OFFSET = _HEAD.size - 64
_HEADER_MIN, _HEADER_MAX = 16 << 10, 4 << 20
_SECOND_OFFSETS = tuple(0x4000 << shift for shift in range(9))
_SLOTS_MAX = 32
_AREA_MAX = 4 << 20
_SALT_MAX, _DIGEST_MAX = 256, 64
ITERATIONS_MAX = 10_000_000
"""More would keep the boot for minutes."""


@dataclass(frozen=True, slots=True)
class Pbkdf2:
    """RFC 8018, 5.2; hash is a name such as "sha256"."""

    hash: str
    salt: bytes
    iterations: int


@dataclass(frozen=True, slots=True)
class Argon2:
    """RFC 9106; memory is in bytes."""

    name: str
    memory: int


@dataclass(frozen=True, slots=True)
class Slot:
    """A key slot; digest is of the volume's key."""

    number: int
    kdf: Pbkdf2 | Argon2
    key_size: int
    stripes: int
    af_hash: str
    encryption: str
    area_key_size: int
    area_offset: int
    area_size: int
    digest_kdf: Pbkdf2
    digest: bytes


@dataclass(frozen=True, slots=True)
class Luks:
    """A volume; faults are those of slots that cannot be read."""

    uuid: str
    slots: tuple[Slot, ...]
    faults: tuple[str, ...] = ()


def read_luks(read: Reader, what: str) -> Luks | None:
    """The volume's header, None where there is none of LUKS2; FormatError, which names what, where
    no copy is right.
    """
    faults = []
    for offset in (0, *_SECOND_OFFSETS):
        head = read(offset, _HEAD.size)
        if len(head) < _HEAD.size or head[:6] != _MAGICS[bool(offset)]:
            if not offset and head[:4] != _MAGICS[0][:4] and read(_HEADER_MIN, 6) != _MAGICS[1]:
                return None
            continue
        (version,) = struct.unpack_from(">H", head, 6)
        if version != 2:
            return None
        try:
            return _parse(read, offset, head)
        except FormatError as error:
            faults.append(f"at offset {offset:#x}: {error}")
    raise FormatError(f"{what}: no copy of the LUKS2 header is right: {'; '.join(faults)}")


def _parse(read: Reader, offset: int, head: bytes) -> Luks:
    _, _, size, _, _, algorithm, _, uuid, _, where, _, stored = _HEAD.unpack(head)
    if where != offset or not _HEADER_MIN <= size <= _HEADER_MAX:
        raise FormatError(f"header of {size} bytes, made for offset {where:#x}")
    data = bytearray(read(offset, size))
    if len(data) != size:
        raise FormatError("header is cut off")
    data[_CHECKSUM_OFFSET : _CHECKSUM_OFFSET + 64] = bytes(64)
    name = _ascii(algorithm)
    if name not in ("sha256", "sha512", "sha1"):
        raise FormatError(f"checksum by {name!r}")
    digest = hashlib.new(name, data).digest()
    if digest != stored[: len(digest)]:
        raise FormatError("wrong checksum")
    return parse_metadata(bytes(data[_BINARY_SIZE:]), _ascii(uuid))


def parse_metadata(text: bytes, uuid: str) -> Luks:
    """Decode the JSON area, which ends with zeros; FormatError. Slots that are not understood are
    told, and left out.
    """
    try:
        found = json.loads(text.rstrip(b"\0"))
    except (ValueError, RecursionError):
        raise FormatError("metadata is no JSON") from None
    slots, digests = _object(found, "keyslots"), _object(found, "digests")
    if len(slots) > _SLOTS_MAX or len(digests) > _SLOTS_MAX:
        raise FormatError(f"{len(slots)} key slots")
    good, faults = [], []
    for number, slot in slots.items():
        try:
            good.append(_slot(number, slot, digests))
        except FormatError as error:
            faults.append(f"key slot {number[:8]!r}: {error}")
    return Luks(uuid, tuple(good), tuple(faults))


def _slot(number: str, slot: object, digests: Mapping[str, object]) -> Slot:
    if not number.isascii() or not number.isdigit() or len(number) > 2:
        raise FormatError("is no number")
    if _text(slot, "type") != "luks2":
        raise FormatError(f"is of type {_text(slot, 'type')[:32]!r}")
    area, split, kdf = (_object(slot, key) for key in ("area", "af", "kdf"))
    digest = next(_digests_of(number, digests), None)
    if digest is None:
        raise FormatError("has no digest of the volume's key")
    name = _text(kdf, "type")
    if name == "pbkdf2":
        way: Pbkdf2 | Argon2 = _pbkdf2(kdf)
    elif name in ("argon2i", "argon2id"):
        way = Argon2(name, _number(kdf, "memory") * 1024)
    else:
        raise FormatError(f"key by {name[:32]!r}")
    return Slot(
        number=int(number),
        kdf=way,
        key_size=_number(slot, "key_size", 64),
        stripes=_number(split, "stripes", 4000),
        af_hash=_text(split, "hash"),
        encryption=_text(area, "encryption"),
        area_key_size=_number(area, "key_size", 64),
        area_offset=_number_text(area, "offset"),
        area_size=_number_text(area, "size", _AREA_MAX),
        digest_kdf=_pbkdf2(digest),
        digest=_base64(digest, "digest", _DIGEST_MAX),
    )


def _digests_of(number: str, digests: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    for digest in digests.values():
        if isinstance(digest, dict):
            slots = digest.get("keyslots")
            if digest.get("type") == "pbkdf2" and isinstance(slots, list) and number in slots:
                yield digest


def _pbkdf2(value: Mapping[str, object]) -> Pbkdf2:
    salt = _base64(value, "salt", _SALT_MAX)
    return Pbkdf2(_text(value, "hash"), salt, _number(value, "iterations"))


def _object(value: object, key: str) -> Mapping[str, object]:
    found = value.get(key) if isinstance(value, dict) else None
    if not isinstance(found, dict):
        raise FormatError(f"{key}: is no object")
    return found


def _text(value: object, key: str) -> str:
    found = value.get(key) if isinstance(value, dict) else None
    if not isinstance(found, str) or not found.isascii() or len(found) > 4096:
        raise FormatError(f"{key}: is no text")
    return found


def _number(value: object, key: str, last: int = 2**31 - 1) -> int:
    found = value.get(key) if isinstance(value, dict) else None
    if not isinstance(found, int) or isinstance(found, bool) or not 0 < found <= last:
        raise FormatError(f"{key}: is not from 1 to {last}")
    return found


def _number_text(value: object, key: str, last: int = 2**62) -> int:
    """Offsets and sizes are decimal strings there."""
    text = _text(value, key)
    if not text.isdigit() or len(text) > 19 or not 0 < int(text) <= last:
        raise FormatError(f"{key}: is not from 1 to {last}")
    return int(text)


def _base64(value: object, key: str, size_max: int) -> bytes:
    try:
        data = binascii.a2b_base64(_text(value, key), strict_mode=True)
    except ValueError:
        raise FormatError(f"{key}: is no base64") from None
    if not 0 < len(data) <= size_max:
        raise FormatError(f"{key}: {len(data)} bytes")
    return data


def _ascii(field: bytes) -> str:
    text = field.partition(b"\0")[0]
    return "".join(chr(byte) if 0x20 < byte < 0x7F else "?" for byte in text)
