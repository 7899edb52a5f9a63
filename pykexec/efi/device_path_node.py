# SPDX-License-Identifier: Apache-2.0
"""Nodes of device paths: bytes there and back (UEFI 2.10, 10.3)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from pykexec.efi.guid import Guid
from pykexec.efi.ucs2 import encode_ucs2
from pykexec.errors import FormatError

HEADER_SIZE = 4
END_TYPE = 0x7F
END_INSTANCE = 0x01
END_ENTIRE = 0xFF

HARDWARE = 1
ACPI = 2
MESSAGING = 3
MEDIA = 4

HARD_DRIVE = (MEDIA, 1)
FILE = (MEDIA, 4)
HARD_DRIVE_FORMAT = "<IQQ16sBB"
SIGNATURE_GUID = 2


class DevicePathError(FormatError):
    """The bytes or the text are no device path; offset says where."""

    def __init__(self, offset: int, fault: str) -> None:
        super().__init__(f"device path: offset {offset}: {fault}")
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Node:
    """One node: its type, subtype and the data behind the 4-byte header."""

    type: int
    subtype: int
    data: bytes = b""

    @property
    def kind(self) -> tuple[int, int]:
        """(type, subtype), the key of the tables of nodes."""
        return self.type, self.subtype

    def __bytes__(self) -> bytes:
        header = struct.pack("<BBH", self.type, self.subtype, HEADER_SIZE + len(self.data))
        return header + self.data


def parse_node(data: bytes, offset: int) -> Node:
    """Decode the node at offset (10.3.1)."""
    if len(data) - offset < HEADER_SIZE:
        raise DevicePathError(offset, "truncated header")
    type_, subtype, length = struct.unpack_from("<BBH", data, offset)
    if not HEADER_SIZE <= length <= len(data) - offset:
        raise DevicePathError(offset, f"bad length {length}")
    return Node(type_, subtype, data[offset + HEADER_SIZE : offset + length])


def file_node(path: str) -> Node:
    """A file path node; path is UEFI's, with backslashes."""
    return Node(*FILE, encode_ucs2(path))


def hard_drive_node(number: int, start_lba: int, nr_lbas: int, partition: Guid) -> Node:
    """A GPT partition (10.3.5.1)."""
    gpt = 2
    data = struct.pack(
        HARD_DRIVE_FORMAT, number, start_lba, nr_lbas, partition.data, gpt, SIGNATURE_GUID
    )
    return Node(*HARD_DRIVE, data)
