# SPDX-License-Identifier: Apache-2.0
"""BitLocker's startup keys: .BEK files as Windows writes them, read and written.

A header and one entry, the external key, with properties in it: its description, since Windows 11
the GUID of the volume, and the key. Microsoft documents none of it; the layout is that of files of
Windows 10 and 11, and of what cryptsetup and libbde read.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from pykexec.efi.guid import Guid
from pykexec.errors import FormatError
from pykexec.secret import Secret

KEY_SIZE = 32
SIZE = 156
SIZE_WITH_VOLUME = 180
RECOVERY_GROUPS = 8

_HEADER = struct.Struct("<IIII16sIIQ")
_ENTRY = struct.Struct("<HHHH")
_EXTERNAL_KEY = struct.Struct("<16sQ")
_VERSION = 1
_FIRST_NONCE = 1
_TYPE_PROPERTY, _TYPE_STARTUP_KEY, _TYPE_VOLUME_GUID = 0x0000, 0x0006, 0x0019
_VALUE_KEY, _VALUE_STRING, _VALUE_EXTERNAL_KEY, _VALUE_GUID = 0x0001, 0x0002, 0x0009, 0x0017
_ENCRYPTION_OF_KEY = 0x2002  # of external keys: AES-CCM, 256 bits
_DESCRIPTION = "ExternalKey\0".encode("utf-16-le")
_FILETIME_1970 = 116_444_736_000_000_000  # in units of 100 ns since 1601
_FACTOR, _QUOTIENT_MAX = 11, 0xFFFF


@dataclass(frozen=True, slots=True)
class Bek:
    """What a .BEK file says beside the key; volume is None where it does not say."""

    identifier: Guid
    volume: Guid | None
    key_offset: int


def file_name(identifier: Guid) -> str:
    """What BitLocker looks for: the protector's GUID in capitals."""
    return f"{str(identifier).upper()}.BEK"


def size(volume: Guid | None) -> int:
    """Bytes of a file with or without the GUID of the volume."""
    return SIZE if volume is None else SIZE_WITH_VOLUME


def write(
    out: memoryview, key: memoryview, identifier: Guid, volume: Guid | None, seconds: int
) -> None:
    """Fill out, size() bytes, with the file for a key of 32 bytes, made so many seconds after 1970.

    The GUID's place, before the key, is inferred: cryptsetup stops reading at the key, and came
    upon the GUID.
    """
    if len(key) != KEY_SIZE or len(out) != size(volume):
        raise FormatError(f"external key: {len(key)} bytes, not {KEY_SIZE}")
    filetime = _FILETIME_1970 + seconds * 10_000_000
    total = len(out)
    _HEADER.pack_into(
        out, 0, total, _VERSION, _HEADER.size, total, identifier.data, _FIRST_NONCE, 0, filetime
    )
    offset = _HEADER.size
    _ENTRY.pack_into(out, offset, total - offset, _TYPE_STARTUP_KEY, _VALUE_EXTERNAL_KEY, _VERSION)
    _EXTERNAL_KEY.pack_into(out, offset + _ENTRY.size, identifier.data, filetime)
    offset += _ENTRY.size + _EXTERNAL_KEY.size
    offset = _property(out, offset, _TYPE_PROPERTY, _VALUE_STRING, _DESCRIPTION)
    if volume:
        offset = _property(out, offset, _TYPE_VOLUME_GUID, _VALUE_GUID, volume.data)
    method = struct.pack("<I", _ENCRYPTION_OF_KEY)
    offset = _property(out, offset, _TYPE_PROPERTY, _VALUE_KEY, method, KEY_SIZE)
    out[offset : offset + KEY_SIZE] = key


def _property(
    out: memoryview, offset: int, type_: int, value: int, data: bytes, more: int = 0
) -> int:
    """Write an entry and its data, more bytes of which follow; where they go."""
    _ENTRY.pack_into(out, offset, _ENTRY.size + len(data) + more, type_, value, _VERSION)
    offset += _ENTRY.size
    out[offset : offset + len(data)] = data
    return offset + len(data)


def read(data: memoryview, what: str) -> Bek:
    """Check a whole file and say what it is; FormatError names the fault, and nothing of the key.

    Properties that are not known are passed over.
    """
    if len(data) < _HEADER.size + _ENTRY.size + _EXTERNAL_KEY.size:
        raise FormatError(f"{what}: {len(data)} bytes are too few for a .BEK file")
    total, version, header_size, copy, identifier, _, _, _ = _HEADER.unpack_from(data)
    if (total, version, header_size, copy) != (len(data), _VERSION, _HEADER.size, len(data)):
        raise FormatError(f"{what}: not the header of a .BEK file of {len(data)} bytes")
    entry_size, type_, value, _ = _ENTRY.unpack_from(data, _HEADER.size)
    if (type_, value, entry_size) != (
        _TYPE_STARTUP_KEY,
        _VALUE_EXTERNAL_KEY,
        total - _HEADER.size,
    ):
        raise FormatError(f"{what}: holds no external key")
    volume, key_offset = None, 0
    offset = _HEADER.size + _ENTRY.size + _EXTERNAL_KEY.size
    while offset < total:
        if total - offset < _ENTRY.size:
            raise FormatError(f"{what}: offset {offset}: property is cut off")
        property_size, type_, value, _ = _ENTRY.unpack_from(data, offset)
        if not _ENTRY.size <= property_size <= total - offset:
            raise FormatError(f"{what}: offset {offset}: property of {property_size} bytes")
        start, end = offset + _ENTRY.size, offset + property_size
        if value == _VALUE_GUID and end - start == 16:
            volume = Guid(bytes(data[start:end]))
        elif value == _VALUE_KEY and end - start == 4 + KEY_SIZE:
            key_offset = start + 4
        offset = end
    if not key_offset:
        raise FormatError(f"{what}: holds no key")
    return Bek(Guid(identifier), volume, key_offset)


def recovery_key(password: memoryview, what: str) -> Secret:
    """What a recovery password stands for, 16 bytes: a group is 11 times a number of 16 bits.

    FormatError as of check_recovery_password().
    """
    check_recovery_password(password, what)
    key = Secret(2 * RECOVERY_GROUPS)
    for number in range(RECOVERY_GROUPS):
        value = 0
        for digit in password[number * 7 : number * 7 + 6]:
            value = value * 10 + digit - 0x30
        struct.pack_into("<H", key.view, 2 * number, value // _FACTOR)
    return key


def check_recovery_password(password: memoryview, what: str) -> None:
    """Refuse what is no recovery password: 8 groups of 6 digits, multiples of 11 below 720896.

    FormatError says which group is at fault, and nothing else of it.
    """
    if len(password) != RECOVERY_GROUPS * 7 - 1:
        raise FormatError(f"{what}: a recovery password has {RECOVERY_GROUPS} groups of 6 digits")
    for number in range(RECOVERY_GROUPS):
        value = 0
        for index in range(number * 7, number * 7 + 6):
            if not 0x30 <= password[index] <= 0x39:
                raise FormatError(f"{what}: group {number + 1} is not 6 digits")
            value = value * 10 + password[index] - 0x30
        if value % _FACTOR or value // _FACTOR > _QUOTIENT_MAX:
            raise FormatError(f"{what}: group {number + 1} is mistyped")
        if number and password[number * 7 - 1] != ord("-"):
            raise FormatError(f"{what}: groups are separated by '-'")
