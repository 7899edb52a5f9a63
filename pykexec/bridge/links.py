# SPDX-License-Identifier: Apache-2.0
"""Stable names of disks and partitions: links as udev makes them, where there is no udev."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

from pykexec.disk import Reader, reader
from pykexec.disk.gpt import Table
from pykexec.efi.device_path import DevicePath
from pykexec.efi.device_path_node import HARD_DRIVE, HARD_DRIVE_FORMAT, Node, hard_drive_node
from pykexec.errors import FormatError
from pykexec.steps import attempt

SECTOR = 512  # sysfs counts in these, whatever the disk's blocks are
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789#+-.:=@_")
_MBR_FORMAT, _MBR_SIGNATURE_TYPE = 1, 1
_MBR_SIGNATURE = slice(440, 444)
_NAME_MAX = 255  # bytes


def escape(text: str) -> str:
    r"""text as a file name: what udev does not let through is spelled \xNN, of its UTF-8.

    Parentheses and commas of device paths are let through, too; they are no trouble to anybody.
    What a terminal would obey (controls, directions of writing) is spelled out.
    """
    name = "".join(char if _is_plain(char) else _spelled(char) for char in text)
    return name.replace(".", r"\x2e") if name in (".", "..") else name


def _is_plain(char: str) -> bool:
    return char in _PLAIN or char in "(),{}" or (ord(char) > 0x7F and char.isprintable())


def _spelled(char: str) -> str:
    return "".join(rf"\x{byte:02x}" for byte in char.encode(errors="surrogatepass"))


@dataclass(frozen=True, slots=True)
class Volume:
    """A disk or a partition as Linux has it; start and size in bytes."""

    node: str
    number: int  # 0: the whole disk
    start: int
    size: int


def volumes(node: str, sysfs: str = "/sys") -> list[Volume]:
    """The disk node ("ublkb0") and its partitions, in order."""
    root = f"{sysfs}/class/block/{node}"
    found = []
    with suppress(OSError):
        found.append(Volume(node, 0, 0, _number(f"{root}/size") * SECTOR))
        for name in os.listdir(root):
            with suppress(FileNotFoundError, NotADirectoryError):
                number = _number(f"{root}/{name}/partition")
                start, size = (_number(f"{root}/{name}/{what}") for what in ("start", "size"))
                found.append(Volume(name, number, start * SECTOR, size * SECTOR))
    return sorted(found, key=lambda volume: volume.number)


def _number(path: str) -> int:
    with open(path, encoding="ascii") as file:
        return int(file.read())


def partition_path(
    disk: DevicePath, volume: Volume, block_size: int, table: Table | None, mbr: bytes
) -> DevicePath:
    """The device path that firmware gives the partition: the disk's and a hard drive node."""
    start, size = volume.start // block_size, volume.size // block_size
    for partition in table.partitions if table else ():
        if partition.number == volume.number and partition.first_lba == start:
            node = hard_drive_node(volume.number, start, size, partition.guid)
            return DevicePath((*disk.nodes, node))
    signature = mbr[_MBR_SIGNATURE].ljust(16, b"\0")
    fields = (volume.number, start, size, signature, _MBR_FORMAT, _MBR_SIGNATURE_TYPE)
    node = Node(*HARD_DRIVE, struct.pack(HARD_DRIVE_FORMAT, *fields))
    return DevicePath((*disk.nodes, node))


@dataclass(slots=True)
class Links:
    """The links of one disk; refresh() makes them what they should be, remove() takes them away.

    They are decoration, made of what strangers wrote on a disk: whatever is wrong with them is a
    line, and no end of anything.
    """

    name: str
    node: str
    path: DevicePath | None
    block_size: int
    dev: str = "/dev"
    sysfs: str = "/sys"
    made: dict[str, str] = field(default_factory=dict)
    """Target by link, both relative to dev."""

    def refresh(self) -> None:
        """Look at disk and partitions anew."""
        names = attempt(self._what("names"), lambda: list(self._wanted()), ())
        wanted = {link: node for link, node in names if _fits(link)}
        for link in [link for link, node in self.made.items() if wanted.get(link) != node]:
            self._unlink(link)
        for link, node in wanted.items():
            if link not in self.made:
                attempt(self._what(link), partial(self._link, link, node), None)

    def _what(self, part: str) -> str:
        return f"{self.name}: links: {part}"

    def remove(self) -> None:
        """Take away every link that was made here."""
        for link in list(self.made):
            self._unlink(link)

    def _link(self, link: str, node: str) -> None:
        """What somebody else's link has claimed first stays so."""
        path = os.path.join(self.dev, link)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        target = os.path.relpath(os.path.join(self.dev, node), os.path.dirname(path))
        if os.path.islink(path) and not os.path.exists(path):
            os.unlink(path)  # Left by a bridge that was killed.
        with suppress(FileExistsError):
            os.symlink(target, path)
            self.made[link] = node
        if link not in self.made and os.readlink(path) == target:
            self.made[link] = node  # A bridge that was killed made it for the same device.

    def _unlink(self, link: str) -> None:
        path = os.path.join(self.dev, link)
        node = self.made.pop(link)
        with suppress(OSError):
            if _base(os.readlink(path)) == node:
                os.unlink(path)

    def _wanted(self) -> Iterator[tuple[str, str]]:
        found = volumes(self.node, self.sysfs)
        nothing: tuple[bytes, Table | None] = b"", None
        tables = self._what("partition table")
        mbr, table = attempt(tables, lambda: self._tables(found[0]), nothing) if found else nothing
        guids = (
            {partition.number: partition for partition in table.partitions if table}
            if table
            else {}
        )
        for volume in found:
            suffix = f"-part{volume.number}" if volume.number else ""
            yield f"pykexec/{self.name}{suffix}", volume.node
            if self.path:
                path = self.path
                if volume.number:
                    path = partition_path(path, volume, self.block_size, table, mbr)
                yield f"disk/by-efi-path/{escape(str(path))}", volume.node
            if partition := guids.get(volume.number):
                yield f"disk/by-partuuid/{partition.guid}", volume.node
                if partition.name:
                    yield f"disk/by-partlabel/{escape(partition.name)}", volume.node
            # A disk with partitions may look like a file system, too: hybrid ISO images do.
            what = self._what(f"file system of {volume.node}")
            yield from attempt(what, partial(self._file_system, volume), ())

    def _tables(self, disk: Volume) -> tuple[bytes, Table | None]:
        from pykexec.disk.gpt import read_gpt

        try:
            with _device(os.path.join(self.dev, disk.node)) as read:
                mbr = read(0, SECTOR)
                table = read_gpt(read, self.block_size, disk.size // self.block_size)
                return mbr, table
        except (OSError, FormatError):
            return b"", None

    def _file_system(self, volume: Volume) -> list[tuple[str, str]]:
        from pykexec.disk.probe import probe

        try:
            with _device(os.path.join(self.dev, volume.node)) as read:
                found = probe(read)
        except OSError:
            return []
        names = {"by-uuid": found.uuid, "by-label": found.label} if found else {}
        return [(f"disk/{by}/{escape(name)}", volume.node) for by, name in names.items() if name]


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def _fits(link: str) -> bool:
    return len(os.fsencode(_base(link))) <= _NAME_MAX


@contextmanager
def _device(path: str) -> Iterator[Reader]:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield reader(fd)
    finally:
        os.close(fd)
