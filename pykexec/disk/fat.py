# SPDX-License-Identifier: Apache-2.0
"""FAT12 volumes with long file names, written into memory that others provide.

Microsoft's FAT specification 1.03, which UEFI 2.10, 13.3 takes over. The same files give the same
bytes: nothing depends on the time, or on what is in a file. No byte of a file is ever copied to
anywhere but its clusters.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from pykexec.disk.fat_tree import (
    ENTRY_SIZE,
    MEDIA,
    SECTOR_SIZE,
    VOLUME,
    Node,
    check_label,
    entry,
    listing,
    make_tree,
    padded_label,
    walk,
)
from pykexec.errors import FormatError

_CLUSTERS_MAX = 4084  # one more, and every reader takes it for FAT16
_CLUSTER_SECTORS = (1, 2, 4, 8, 16, 32, 64)
_RESERVED_SECTORS = 1
_NR_FATS = 2
_ROOT_ENTRIES_MIN = 112
_ENTRIES_PER_SECTOR = SECTOR_SIZE // ENTRY_SIZE
_TRACK_SECTORS, _HEADS = 32, 2  # mtools wants whole tracks
_FAT_END = 0xFFF
# EDK II's FAT driver reads and keeps up to so many bytes at once, counted from the root directory.
# To list a directory must not bring a key into the driver's memory, where nobody wipes it.
_READ_AHEAD = 64 << 10


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume whose size is known; write() makes it."""

    size: int
    label: str
    _files: Mapping[str, memoryview]
    _root: Node
    _nodes: tuple[Node, ...]
    _cluster_sectors: int
    _fat_sectors: int
    _root_entries: int
    _nr_clusters: int

    def write(self, out: memoryview, hidden_sectors: int = 0, which: str = "") -> None:
        """Fill out, size bytes of zeros; hidden_sectors is where it begins on its disk. which gives
        volumes of the same files serial numbers of their own.
        """
        if len(out) != self.size:
            raise FormatError(f"volume: {len(out)} bytes of room, not {self.size}")
        self._write_boot_sector(out, hidden_sectors, which)
        fat = self._fat()
        for number in range(_NR_FATS):
            start = (_RESERVED_SECTORS + number * self._fat_sectors) * SECTOR_SIZE
            out[start : start + len(fat)] = fat
        entries = entry(padded_label(self.label), VOLUME, 0, 0) + listing(self._root)
        out[self._root_start : self._root_start + len(entries)] = entries
        for node in self._nodes:
            data = listing(node) if node.is_directory else self._files[node.path]
            start = self._data_start + (node.cluster - 2) * self._cluster_size
            out[start : start + len(data)] = data

    @property
    def _cluster_size(self) -> int:
        return self._cluster_sectors * SECTOR_SIZE

    @property
    def _root_start(self) -> int:
        return (_RESERVED_SECTORS + _NR_FATS * self._fat_sectors) * SECTOR_SIZE

    @property
    def _data_start(self) -> int:
        return self._root_start + self._root_entries * ENTRY_SIZE

    def _write_boot_sector(self, out: memoryview, hidden_sectors: int, which: str) -> None:
        nr_sectors = self.size // SECTOR_SIZE
        names = "\n".join((*sorted(node.name for node in self._nodes), *([which] if which else [])))
        struct.pack_into(
            "<3s8sHBHBHHBHHHIIBBBI11s8s", out, 0, b"\xeb\x3c\x90", b"pykexec ", SECTOR_SIZE,
            self._cluster_sectors, _RESERVED_SECTORS, _NR_FATS, self._root_entries,
            nr_sectors if nr_sectors < 1 << 16 else 0, MEDIA, self._fat_sectors, _TRACK_SECTORS,
            _HEADS, hidden_sectors, 0 if nr_sectors < 1 << 16 else nr_sectors, 0x80, 0, 0x29,
            zlib.crc32(names.encode()), padded_label(self.label), b"FAT12   ",
        )  # fmt: skip
        struct.pack_into("<H", out, SECTOR_SIZE - 2, 0xAA55)

    def _fat(self) -> bytes:
        values = [0] * (self._nr_clusters + 2)
        values[0], values[1] = 0xF00 | MEDIA, _FAT_END
        for node in self._nodes:
            for number in range(node.cluster, node.cluster + node.nr_clusters):
                values[number] = number + 1
            if node.nr_clusters:
                values[node.cluster + node.nr_clusters - 1] = _FAT_END
        packed = bytearray()
        for low, high in zip(values[::2], [*values[1::2], 0], strict=False):
            packed += (low | high << 12).to_bytes(3, "little")
        return bytes(packed)


def plan(files: Mapping[str, memoryview], label: str = "PYKEXEC") -> Volume:
    """A volume with these files, by path ("EFI/keys/a.key"; "/" or "\\" between names).

    FormatError names a path that FAT cannot have, two that are one to it, or too many bytes.
    """
    check_label(label)
    root = make_tree((path, len(data)) for path, data in files.items())
    nodes = tuple(walk(root))
    used = root.listing_size // ENTRY_SIZE
    root_entries = _ROOT_ENTRIES_MIN + max(0, used - _ROOT_ENTRIES_MIN)
    root_entries += -root_entries % _ENTRIES_PER_SECTOR
    for sectors in _CLUSTER_SECTORS:
        needed = _place(nodes, sectors * SECTOR_SIZE, root_entries * ENTRY_SIZE)
        volume = _sized(files, root, nodes, label, sectors, needed, root_entries)
        if volume._nr_clusters <= _CLUSTERS_MAX:
            return volume
    raise FormatError(f"volume: {needed} clusters of {sectors * SECTOR_SIZE} bytes are too many")


def _sized(
    files: Mapping[str, memoryview],
    root: Node,
    nodes: tuple[Node, ...],
    label: str,
    sectors: int,
    needed: int,
    entries: int,
) -> Volume:
    """Round up to whole tracks; what that adds are clusters, too."""
    fat_sectors = -(-((_CLUSTERS_MAX + 2) * 3 // 2) // SECTOR_SIZE)
    meta = _RESERVED_SECTORS + _NR_FATS * fat_sectors + entries // _ENTRIES_PER_SECTOR
    total = meta + max(needed, 1) * sectors
    total += -total % (_TRACK_SECTORS * _HEADS)
    nr_clusters = (total - meta) // sectors
    return Volume(
        total * SECTOR_SIZE, label, files, root, nodes, sectors, fat_sectors, entries, nr_clusters
    )


def _place(nodes: tuple[Node, ...], cluster_size: int, root_size: int) -> int:
    """Give every node its clusters: directories, a gap, files; how many clusters that takes."""
    following = 2
    for node in nodes:
        if node.is_directory:
            following = node.place(node.listing_size, cluster_size, following)
    listed = root_size + (following - 2) * cluster_size
    following += -(-(-listed % _READ_AHEAD) // cluster_size)
    for node in nodes:
        if node.size is not None:
            following = node.place(node.size, cluster_size, following)
    return following - 2
