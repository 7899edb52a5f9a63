# SPDX-License-Identifier: Apache-2.0
"""Device paths: parse, append, say as text (UEFI 2.10, 10.3)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from pykexec.efi.device_path_node import (
    END_ENTIRE,
    END_TYPE,
    FILE,
    HARD_DRIVE,
    HARD_DRIVE_FORMAT,
    HEADER_SIZE,
    SIGNATURE_GUID,
    DevicePathError,
    Node,
    file_node,
    parse_node,
)
from pykexec.efi.guid import Guid
from pykexec.efi.ucs2 import decode_ucs2


@dataclass(frozen=True, slots=True)
class DevicePath:
    """Nodes without the final end node; instances are separated by end-instance nodes."""

    nodes: tuple[Node, ...]

    def __bytes__(self) -> bytes:
        return b"".join(map(bytes, (*self.nodes, Node(END_TYPE, END_ENTIRE))))

    def __str__(self) -> str:
        from pykexec.efi.device_path_text import to_text

        return to_text(self.nodes)

    @classmethod
    def from_text(cls, text: str) -> DevicePath:
        """The path that text names; DevicePathError with the offset in text of what is wrong."""
        from pykexec.efi.device_path_from_text import read_nodes

        return cls(read_nodes(text))

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


def parse(data: bytes) -> DevicePath:
    """Decode bytes that hold one path, end node included, and nothing behind it."""
    path, size = parse_first(data)
    if size != len(data):
        raise DevicePathError(size, f"{len(data) - size} bytes behind the end node")
    return path


def parse_first(data: bytes) -> tuple[DevicePath, int]:
    """Decode the path that bytes begin with; how many bytes it has, end node included."""
    nodes: list[Node] = []
    offset = 0
    while True:
        node = parse_node(data, offset)
        offset += HEADER_SIZE + len(node.data)
        if node.kind == (END_TYPE, END_ENTIRE):
            return DevicePath(tuple(nodes)), offset
        nodes.append(node)
