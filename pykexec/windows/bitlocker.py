# SPDX-License-Identifier: Apache-2.0
"""BitLocker volumes as untrusted bytes: which protectors they have, and how what is theirs is kept.

Microsoft documents none of it; the layout is that which cryptsetup, libbde and dissect.fve read. A
volume has three copies of its metadata, each with a checksum; the first that is right counts.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntFlag

from pykexec.disk import Reader
from pykexec.efi.guid import Guid
from pykexec.errors import FormatError
from pykexec.log import reason

SIGNATURE = b"-FVE-FS-"
_BOOT_SIZE = 512
_SIGNATURE_TO_GO = b"MSWIN4.1"
_IDENTIFIER_OFFSET, _IDENTIFIER_OFFSET_TO_GO = 160, 424
_IDENTIFIERS = (
    Guid.parse("4967d63b-2e29-4ad8-8399-f6a339e3d001"),
    Guid.parse("92a84d3b-dd80-4d0e-9e4e-b1e3284eaed8"),  # encrypt on write
)
_OFFSETS = struct.Struct("<16s3Q")
_BLOCK = struct.Struct("<8sHHHHQII3QQ")
_VERSION, _SIZE_UNIT = 2, 16
_DATASET = struct.Struct("<IIII16sIHHQ")
_VALIDATION = struct.Struct("<HHI")
_DATUM = struct.Struct("<HHHH")
_VMK = struct.Struct("<16sQHH")
_ENCRYPTED = struct.Struct("<12s16s")
_KEY_HEADER_SIZE = 4
_KEY_SIZE = 32
_SALT_SIZE = 16
_BLOCK_MAX = 0xFFFF * _SIZE_UNIT
_ROLE_DESCRIPTION, _ROLE_PROTECTOR = 7, 2
_KEY, _TEXT, _STRETCH_KEY, _ENCRYPTED_KEY, _TPM_BLOB, _PROTECTOR = 1, 2, 3, 5, 6, 8
_PROTECTION_MASK = 0xFF00
_NR_PCRS = 24

METHODS = {
    0x8000: "AES-CBC 128 with diffuser",
    0x8001: "AES-CBC 256 with diffuser",
    0x8002: "AES-CBC 128",
    0x8003: "AES-CBC 256",
    0x8004: "XTS-AES 128",
    0x8005: "XTS-AES 256",
}
STATES = {
    1: "decrypted",
    2: "being converted",
    3: "conversion paused",
    4: "encrypted",
    5: "being converted",
}


class Protection(IntFlag):
    """What all has to be there for a protector; nothing: its key lies beside it in the clear."""

    TPM = 0x0100
    STARTUP_KEY = 0x0200
    PIN = 0x0400
    RECOVERY_PASSWORD = 0x0800
    CERTIFICATE = 0x1000
    PASSWORD = 0x2000


_WORDS = {
    Protection.TPM: "TPM",
    Protection.PIN: "PIN",
    Protection.STARTUP_KEY: "startup key",
    Protection.RECOVERY_PASSWORD: "recovery password",
    Protection.CERTIFICATE: "certificate",
    Protection.PASSWORD: "password",
}


@dataclass(frozen=True, slots=True)
class Encrypted:
    """What AES-CCM made: nonce, tag, text."""

    nonce: bytes
    tag: bytes
    text: bytes


@dataclass(frozen=True, slots=True)
class Protector:
    """One way to the volume's master key.

    pcrs are those that the TPM's part is sealed to, None where the metadata does not tell; key is
    the master key, encrypted, None where it is another shape; clear_key opens it. salt is that of
    what a person types.
    """

    identifier: Guid
    protection: int
    pcrs: tuple[int, ...] | None
    key: Encrypted | None
    clear_key: bytes | None
    salt: bytes | None

    @property
    def kind(self) -> str:
        """In words: "TPM and startup key"."""
        if not self.protection:
            return "clear key"
        words = [word for flag, word in _WORDS.items() if self.protection & flag]
        if unknown := self.protection & ~sum(_WORDS):
            words.append(f"unknown kind {unknown:#06x}")
        return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))

    @property
    def sealed_to(self) -> str:
        """ "PCR 7, 11", "" where the metadata does not tell."""
        return f"PCR {', '.join(map(str, self.pcrs))}" if self.pcrs else ""

    def __str__(self) -> str:
        return f"{self.kind} {{{str(self.identifier).upper()}}}"


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume's metadata; faults are those of copies that do not count.

    block are the bytes that the checksum, and integrity by the master key, are over.
    """

    identifier: Guid
    description: str
    method: str
    state: str
    to_go: bool
    protectors: tuple[Protector, ...]
    faults: tuple[str, ...]
    block: bytes
    integrity: Encrypted | None


def is_bitlocker(read: Reader) -> bool:
    """Has the volume BitLocker's signature, that of Windows Vista and of To Go among them?"""
    return _identifier_offset(read(0, _BOOT_SIZE)) is not None


def _identifier_offset(boot: bytes) -> int | None:
    """Where the identifier and the offsets of the metadata are, None where there are none."""
    if len(boot) < _BOOT_SIZE:
        return None
    if boot[3:11] == SIGNATURE:
        return _IDENTIFIER_OFFSET
    place = boot[_IDENTIFIER_OFFSET_TO_GO : _IDENTIFIER_OFFSET_TO_GO + 16]
    if boot[3:11] == _SIGNATURE_TO_GO and any(place == each.data for each in _IDENTIFIERS):
        return _IDENTIFIER_OFFSET_TO_GO
    return None


def read_volume(read: Reader, what: str) -> Volume | None:
    """The volume's metadata, None where it is no BitLocker volume; FormatError, which names what,
    where no copy is right.
    """
    boot = read(0, _BOOT_SIZE)
    offset = _identifier_offset(boot)
    if offset is None:
        return None
    identifier, *places = _OFFSETS.unpack_from(boot, offset)
    if all(identifier != each.data for each in _IDENTIFIERS):
        raise FormatError(f"{what}: BitLocker of Windows Vista, or of a kind that is not known")
    faults: list[str] = []
    for place in places:
        try:
            block, rest = _read_block(read, place)
            return parse_metadata(block, rest, what, offset == _IDENTIFIER_OFFSET_TO_GO, faults)
        except FormatError as error:
            faults.append(reason(error, what))
    raise FormatError(f"{what}: no copy of BitLocker's metadata is right: {'; '.join(faults)}")


def _read_block(read: Reader, offset: int) -> tuple[bytes, bytes]:
    """The block that a checksum is over, and what follows it."""
    head = read(offset, _BLOCK.size)
    if len(head) < _BLOCK.size or head[:8] != SIGNATURE:
        raise FormatError(f"no metadata at offset {offset:#x}")
    size, version = struct.unpack_from("<HH", head, 8)
    if version != _VERSION:
        raise FormatError(f"metadata of version {version} at offset {offset:#x}")
    size *= _SIZE_UNIT
    data = read(offset, size + _VALIDATION.size)
    if len(data) < size + _VALIDATION.size or size < _BLOCK.size + _DATASET.size:
        raise FormatError(f"metadata at offset {offset:#x} is cut off")
    total, _, stored = _VALIDATION.unpack_from(data, size)
    if zlib.crc32(data[:size]) != stored:
        raise FormatError(f"metadata at offset {offset:#x}: wrong checksum")
    return data[:size], read(offset + size + _VALIDATION.size, max(0, total - _VALIDATION.size))


def parse_metadata(
    block: bytes, validation: bytes, what: str, to_go: bool = False, faults: list[str] | None = None
) -> Volume:
    """Decode a block whose checksum is right; FormatError, which names what and the offset."""
    if len(block) < _BLOCK.size + _DATASET.size:
        raise FormatError(f"{what}: metadata of {len(block)} bytes")
    _, _, _, state, *_ = _BLOCK.unpack_from(block)
    size, _, start, end, identifier, _, method, _, _ = _DATASET.unpack_from(block, _BLOCK.size)
    if not _DATASET.size <= start <= end <= size <= len(block) - _BLOCK.size:
        raise FormatError(f"{what}: metadata of {size} bytes, {start} to {end}, in {len(block)}")
    description, protectors = "", []
    for role, type_, at, data in _data(block, _BLOCK.size + start, _BLOCK.size + end, what):
        if (role, type_) == (_ROLE_DESCRIPTION, _TEXT):
            description = _text(data)
        elif (role, type_) == (_ROLE_PROTECTOR, _PROTECTOR):
            protectors.append(_protector(block, at, at + len(data), what))
    integrity = None
    if validation:
        entries = _data(validation, 0, len(validation), what)
        found = (data for _, type_, _, data in entries if type_ == _ENCRYPTED_KEY)
        integrity = next((_encrypted(data, what) for data in found), None)
    return Volume(
        Guid(identifier),
        description,
        METHODS.get(method, f"method {method:#06x}"),
        STATES.get(state, f"state {state}"),
        to_go,
        tuple(protectors),
        tuple(faults or ()),
        block,
        integrity,
    )


def _data(block: bytes, start: int, end: int, what: str) -> Iterator[tuple[int, int, int, bytes]]:
    """Role, type, offset and contents of each datum of a list that ends where its bytes do, or at
    one without size.
    """
    while end - start >= _DATUM.size:
        size, role, type_, _ = _DATUM.unpack_from(block, start)
        if not size:
            return
        if not _DATUM.size <= size <= end - start:
            raise FormatError(f"{what}: metadata offset {start:#x}: entry of {size} bytes")
        yield role, type_, start + _DATUM.size, block[start + _DATUM.size : start + size]
        start += size


def _protector(block: bytes, start: int, end: int, what: str) -> Protector:
    if end - start < _VMK.size:
        raise FormatError(f"{what}: metadata offset {start:#x}: protector of {end - start} bytes")
    identifier, _, _, protection = _VMK.unpack_from(block, start)
    pcrs, key, clear, salt = None, None, None, None
    for _, type_, _, data in _data(block, start + _VMK.size, end, what):
        if type_ == _ENCRYPTED_KEY:
            key = _encrypted(data, what)
        elif type_ == _KEY and len(data) == _KEY_HEADER_SIZE + _KEY_SIZE:
            clear = data[_KEY_HEADER_SIZE:]
        elif type_ == _STRETCH_KEY and len(data) >= _KEY_HEADER_SIZE + _SALT_SIZE:
            salt = data[_KEY_HEADER_SIZE : _KEY_HEADER_SIZE + _SALT_SIZE]
        elif type_ == _TPM_BLOB and len(data) >= 4:
            mask = int.from_bytes(data[:4], "little")
            pcrs = tuple(pcr for pcr in range(_NR_PCRS) if mask >> pcr & 1)
    return Protector(Guid(identifier), protection & _PROTECTION_MASK, pcrs, key, clear, salt)


def _encrypted(data: bytes, what: str) -> Encrypted:
    if len(data) <= _ENCRYPTED.size:
        raise FormatError(f"{what}: encrypted key of {len(data)} bytes")
    nonce, tag = _ENCRYPTED.unpack_from(data)
    return Encrypted(nonce, tag, data[_ENCRYPTED.size :])


def _text(data: bytes) -> str:
    text = data.decode("utf-16-le", "replace").partition("\0")[0]
    return "".join(c if c.isprintable() else "?" for c in text)
