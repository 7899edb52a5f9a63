# SPDX-License-Identifier: Apache-2.0
"""Registry hives made here, as small as hivex takes them, and those of a boot configuration."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pykexec.efi.guid import Guid
from pykexec.windows.hive import BASE_SIZE, REG_BINARY, REG_DWORD, REG_MULTI_SZ, REG_SZ, checksum

NOWHERE = 0xFFFFFFFF
BIN_HEADER = 32
BOOT_MANAGER = "9dea862c-5cdd-4e70-acc1-f32b344d4795"
LOADER = "01234567-89ab-cdef-0123-456789abcdef"
RESUME = "11111111-2222-3333-4444-555555555555"


@dataclass(slots=True)
class Node:
    """A key: what is below it, and its values as type and bytes."""

    subkeys: dict[str, Node] = field(default_factory=dict)
    values: dict[str, tuple[int, bytes]] = field(default_factory=dict)


def text(value: str) -> tuple[int, bytes]:
    """A value: a string."""
    return REG_SZ, f"{value}\0".encode("utf-16-le")


def texts(*values: str) -> tuple[int, bytes]:
    """A value: several strings."""
    return REG_MULTI_SZ, "".join(f"{value}\0" for value in (*values, "")).encode("utf-16-le")


def number(value: int) -> tuple[int, bytes]:
    """A value: 32 bits."""
    return REG_DWORD, struct.pack("<I", value)


class _Writer:
    """Cells, one behind the other, in one bin."""

    def __init__(self, lists: str) -> None:
        self.data = bytearray(BIN_HEADER)
        self.lists = lists
        self.security = NOWHERE

    def cell(self, content: bytes) -> int:
        offset, size = len(self.data), -(-(len(content) + 4) // 8) * 8
        self.data += struct.pack("<i", -size) + content.ljust(size - 4, b"\0")
        return offset

    def node(self, name: str, node: Node, parent: int, flags: int = 0) -> int:
        encoded, ascii_flag = _encoded(name)
        offset = self.cell(bytes(76) + encoded)
        if self.security == NOWHERE:
            at = len(self.data)  # who holds it counts
            descriptor = struct.pack("<BBH16x", 1, 0, 0x8000)
            head = struct.pack("<2sHIIII", b"sk", 0, at, at, 1 << 16, len(descriptor))
            self.security = self.cell(head + descriptor)
        subkeys = [self.node(child, each, offset) for child, each in sorted(node.subkeys.items())]
        listed = self.list(subkeys, sorted(node.subkeys)) if subkeys else NOWHERE
        values = [self.value(each, *content) for each, content in node.values.items()]
        at = self.cell(struct.pack(f"<{len(values)}I", *values)) if values else NOWHERE
        struct.pack_into(
            "<2sHQ10I16xIHH", self.data, offset + 4, b"nk", flags | ascii_flag * 0x20, 0, 0, parent,
            len(subkeys), 0, listed, NOWHERE, len(values), at, self.security, NOWHERE, 0,
            len(encoded), 0,
        )  # fmt: skip
        return offset

    def list(self, subkeys: Sequence[int], names: Sequence[str]) -> int:
        if self.lists == "ri":
            halves = [(subkeys[i::2], names[i::2]) for i in (0, 1) if subkeys[i::2]]
            inner = [self.plain_list("lh", *half) for half in halves]
            return self.cell(b"ri" + struct.pack(f"<H{len(inner)}I", len(inner), *inner))
        return self.plain_list(self.lists, subkeys, names)

    def plain_list(self, kind: str, subkeys: Sequence[int], names: Sequence[str]) -> int:
        entries = b""
        for offset, name in zip(subkeys, names, strict=True):
            entries += struct.pack("<I", offset)
            entries += {"lf": name.encode("latin-1", "replace")[:4].ljust(4, b"\0"), "li": b""}.get(
                kind, _hash(name)
            )
        return self.cell(kind.encode() + struct.pack("<H", len(subkeys)) + entries)

    def value(self, name: str, type_: int, data: bytes) -> int:
        encoded, ascii_flag = _encoded(name)
        if len(data) <= 4:
            size, at = len(data) | 1 << 31, int.from_bytes(data.ljust(4, b"\0"), "little")
        else:
            size, at = len(data), self.cell(data)
        head = struct.pack("<2sHIIIHH", b"vk", len(encoded), size, at, type_, ascii_flag, 0)
        return self.cell(head + encoded)


def _encoded(name: str) -> tuple[bytes, bool]:
    try:
        return name.encode("latin-1"), True
    except UnicodeEncodeError:
        return name.encode("utf-16-le"), False


def _hash(name: str) -> bytes:
    value = 0
    for character in name.upper():
        value = (value * 37 + ord(character)) & 0xFFFFFFFF
    return struct.pack("<I", value)


def hive(root: Node, lists: str = "lf") -> bytes:
    """A whole hive; lists is the kind of list that subkeys are in."""
    writer = _Writer(lists)
    start = writer.node("root", root, NOWHERE, flags=0x0C)
    size = -(-len(writer.data) // BASE_SIZE) * BASE_SIZE
    if rest := size - len(writer.data):
        free = struct.pack("<i", rest) + bytes(rest - 4)  # what is left of a bin is a free cell
        writer.data += free
    struct.pack_into("<4sIIIIQI", writer.data, 0, b"hbin", 0, size, 0, 0, 0, 0)
    base = bytearray(BASE_SIZE)
    struct.pack_into("<4sIIQ7I", base, 0, b"regf", 1, 1, 0, 1, 5, 0, 1, start, size, 1)
    return sealed(base) + bytes(writer.data)


def sealed(base: bytearray) -> bytes:
    """A base block, or a hive with one, whose checksum is right."""
    struct.pack_into("<I", base, 508, checksum(bytes(base)))
    return bytes(base)


def partition_device(partition: str, disk: str) -> tuple[int, bytes]:
    """A device element: a partition of a GPT."""
    head = struct.pack("<16xIII4x", 6, 0, 0x48)
    guids = Guid.parse(partition).data + struct.pack("<4xI", 0) + Guid.parse(disk).data
    return REG_BINARY, head + guids + bytes(16)


def ramdisk_device(options: str, wim: str) -> tuple[int, bytes]:
    """A device element: a wim on whatever was booted from, as the BCD of an installer has it."""
    path = f"{wim}\0".encode("utf-16-le")
    # A RAM disk, on a file of the boot device (type 5).
    inner = struct.pack("<I12xQ", 3, 0) + struct.pack("<III4x", 5, 1, 0x18) + path
    head = Guid.parse(options).data + struct.pack("<III4x", 0, 1, 16 + len(inner))
    return REG_BINARY, head + inner


def bcd_object(elements: Mapping[int, tuple[int, bytes]], type_: int) -> Node:
    """An object of a boot configuration."""
    keys = {f"{at:08x}": Node(values={"Element": value}) for at, value in elements.items()}
    return Node({"Description": Node(values={"Type": number(type_)}), "Elements": Node(keys)})


def bcd_tree(partition: str, disk: str, esp: str) -> Node:
    """What bcdboot makes of a disk, as far as it matters: manager, loader, resume loader."""
    manager = {
        0x11000001: partition_device(esp, disk),
        0x12000002: text(r"\EFI\Microsoft\Boot\bootmgfw.efi"),
        0x12000004: text("Windows Boot Manager"),
        0x23000003: text(f"{{{LOADER}}}"),
        0x24000001: texts(f"{{{LOADER}}}"),
    }
    loader = {
        0x11000001: partition_device(partition, disk),
        0x12000002: text(r"\Windows\system32\winload.efi"),
        0x12000004: text("Windows Server"),
        0x21000001: partition_device(partition, disk),
        0x22000002: text(r"\Windows"),
        0x23000003: text(f"{{{RESUME}}}"),
    }
    resume = {
        0x11000001: partition_device(partition, disk),
        0x12000002: text(r"\Windows\system32\winresume.efi"),
        0x12000004: text("Windows Resume Application"),
    }
    objects = {
        f"{{{BOOT_MANAGER}}}": bcd_object(manager, 0x10100002),
        f"{{{LOADER}}}": bcd_object(loader, 0x10200003),
        f"{{{RESUME}}}": bcd_object(resume, 0x10200004),
    }
    description = Node(values={"KeyName": text("BCD00000000"), "System": number(1)})
    return Node({"Description": description, "Objects": Node(objects)})
