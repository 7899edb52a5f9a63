# SPDX-License-Identifier: Apache-2.0
"""Device paths: parse, build, append (UEFI 2.10, 10.3); their text form is in device_path_text."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from pykexec.efi.guid import GUID_SIZE, Guid
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


@dataclass(frozen=True, slots=True)
class DevicePath:
    """Nodes without the final end node; instances are separated by end-instance nodes."""

    nodes: tuple[Node, ...]

    def __bytes__(self) -> bytes:
        return b"".join(map(bytes, (*self.nodes, Node(END_TYPE, END_ENTIRE))))

    def __str__(self) -> str:
        from pykexec.efi.device_path_text import to_text

        return to_text(self)

    def append_file(self, path: str) -> DevicePath:
        """This path and a file node behind it (10.3.5.4)."""
        return DevicePath((*self.nodes, file_node(path)))

    @property
    def partition_guid(self) -> Guid | None:
        """The GPT partition that the path leads through, if any."""
        for node in self.nodes:
            if node.kind == HARD_DRIVE and len(node.data) == struct.calcsize(HARD_DRIVE_FORMAT):
                *_, signature, _, signature_type = struct.unpack(HARD_DRIVE_FORMAT, node.data)
                if signature_type == SIGNATURE_GUID:
                    return Guid(signature)
        return None

    @property
    def file_path(self) -> str:
        """The file nodes joined, "" when there are none."""
        names = [decode_ucs2(node.data) for node in self.nodes if node.kind == FILE]
        return "\\".join(name.strip("\\") if i else name for i, name in enumerate(names))


def parse_node(data: bytes, offset: int) -> Node:
    """Decode the node at offset (10.3.1)."""
    if len(data) - offset < HEADER_SIZE:
        raise DevicePathError(offset, "truncated header")
    type_, subtype, length = struct.unpack_from("<BBH", data, offset)
    if not HEADER_SIZE <= length <= len(data) - offset:
        raise DevicePathError(offset, f"bad length {length}")
    return Node(type_, subtype, data[offset + HEADER_SIZE : offset + length])


def parse(data: bytes) -> DevicePath:
    """Decode bytes that hold one path, end node included, and nothing behind it."""
    nodes: list[Node] = []
    offset = 0
    while True:
        node = parse_node(data, offset)
        offset += HEADER_SIZE + len(node.data)
        if node.kind == (END_TYPE, END_ENTIRE):
            break
        nodes.append(node)
    if offset != len(data):
        raise DevicePathError(offset, f"{len(data) - offset} bytes behind the end node")
    return DevicePath(tuple(nodes))


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


def encode_ucs2(text: str) -> bytes:
    """UCS-2 with its terminator; FormatError on what UCS-2 cannot say."""
    if "\0" in text or any(ord(char) > 0xFFFF for char in text):
        raise FormatError(f"{text!r} cannot be written in UCS-2")
    return (text + "\0").encode("utf-16-le", "surrogatepass")


def decode_ucs2(data: bytes) -> str:
    """UCS-2 up to its terminator or the end; an odd last byte is ignored."""
    text = data[: len(data) & ~1].decode("utf-16-le", "replace")
    return text.partition("\0")[0]


__all__ = [
    "GUID_SIZE",
    "DevicePath",
    "DevicePathError",
    "Node",
    "decode_ucs2",
    "encode_ucs2",
    "file_node",
    "hard_drive_node",
    "parse",
    "parse_node",
]
