# SPDX-License-Identifier: Apache-2.0
"""BitLocker volumes made here: with any protectors, as large as their metadata needs.

Only the metadata is there; cryptsetup and libbde take them for volumes of Windows'.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from pykexec.disk import bek
from pykexec.efi.guid import Guid

VOLUME = Guid.parse("5a95db04-6ebc-4ba9-99a3-15a87a3d07b2")
MASTER_KEY = bytes(range(100, 132))
NORMAL = Guid.parse("4967d63b-2e29-4ad8-8399-f6a339e3d001")
OFFSETS = (0x10000, 0x40000, 0x70000)
SIZE = 0x80000
XTS_128 = 0x8004


@dataclass(frozen=True, slots=True)
class Way:
    """A protector: key is what opens it, None where it is for the TPM; pcrs are its registers."""

    identifier: str
    protection: int
    key: bytes | None = None
    pcrs: Sequence[int] = ()


def bek_file(identifier: str, key: bytes, volume: Guid | None = VOLUME) -> bytes:
    """A .BEK file."""
    out = bytearray(bek.size(volume))
    bek.write(memoryview(out), memoryview(key), Guid.parse(identifier), volume, 0)
    return bytes(out)


def datum(role: int, type_: int, data: bytes) -> bytes:
    return struct.pack("<HHHH", 8 + len(data), role, type_, 1) + data


def key_datum(method: int, key: bytes) -> bytes:
    return datum(0, 1, struct.pack("<HH", method, 0) + key)


def encrypted(key: bytes, plain: bytes, counter: int) -> bytes:
    """An AES-CCM datum."""
    nonce = struct.pack("<QI", 0x1D8000000000000, counter)
    sealed = AESCCM(key, tag_length=16).encrypt(nonce, plain, None)
    return datum(0, 5, nonce + sealed[-16:] + sealed[:-16])


def _protector(way: Way, counter: int) -> bytes:
    properties = b""
    if not way.protection:
        assert way.key
        properties += key_datum(0x2000, way.key)
    if way.pcrs:
        mask = sum(1 << pcr for pcr in way.pcrs)
        properties += datum(0, 6, struct.pack("<I", mask) + bytes(200))
    if way.key:
        properties += encrypted(way.key, key_datum(0x2003, MASTER_KEY), counter)
    head = struct.pack("<16sQHH", Guid.parse(way.identifier).data, 0, 0, way.protection)
    return datum(2, 8, head + properties)


def metadata(ways: Sequence[Way], description: str = "SRV C: 1/1/2026") -> bytes:
    """The block that the checksum is over."""
    entries = datum(7, 2, f"{description}\0".encode("utf-16-le"))
    entries += b"".join(_protector(way, 10 + index) for index, way in enumerate(ways))
    entries += encrypted(MASTER_KEY, key_datum(XTS_128, bytes(32)), 5).replace(
        struct.pack("<HHH", 0x50, 0, 5), struct.pack("<HHH", 0x50, 3, 5), 1
    )
    size = 48 + len(entries)
    dataset = struct.pack("<IIII16sIHHQ", size, 1, 48, size, VOLUME.data, 20, XTS_128, 0, 0)
    total = -(-(64 + size) // 16) * 16
    head = struct.pack("<8sHHHHQII3QQ", b"-FVE-FS-", total // 16, 2, 4, 4, SIZE, 0, 16, *OFFSETS, 0)
    return (head + dataset + entries).ljust(total, b"\0")


def validation(block: bytes) -> bytes:
    """What stands behind it: a checksum, and its digest under the master key."""
    proof = encrypted(MASTER_KEY, key_datum(0x2005, hashlib.sha256(block).digest()), 21)
    return struct.pack("<HHI", 8 + len(proof), 2, zlib.crc32(block)) + proof


def volume(ways: Sequence[Way], to_go: bool = False) -> bytes:
    """A whole volume."""
    data = bytearray(SIZE)
    data[:3] = b"\xeb\x58\x90"
    data[3:11] = b"MSWIN4.1" if to_go else b"-FVE-FS-"
    struct.pack_into("<H", data, 11, 512)
    struct.pack_into("<16s3Q", data, 424 if to_go else 160, NORMAL.data, *OFFSETS)
    data[510:512] = b"\x55\xaa"
    block = metadata(ways)
    for offset in OFFSETS:
        whole = block + validation(block)
        data[offset : offset + len(whole)] = whole
    return bytes(data)
