# SPDX-License-Identifier: Apache-2.0
"""FAT32 volumes made of names and sizes: whoever has the contents puts them where they belong.

Microsoft's FAT specification 1.03. Everything but the contents is in front of them, so that a
volume can be written from its first byte to its last while its files are still on their way.
"""

from __future__ import annotations

import struct
import zlib
from array import array
from collections.abc import Mapping
from dataclasses import dataclass

from pykexec.disk.fat_tree import (
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

FILE_SIZE_MAX = (1 << 32) - 1
CLUSTERS_MIN = 65525 + 16
"""One less than 65525, and every reader takes it for FAT16; some are a few off (1.03, page 15)."""
_CLUSTER_SECTORS = (64, 32, 16, 8, 4, 2, 1)
_CLUSTERS_MAX = 0x0FFFFFF5
_RESERVED_SECTORS = 32
_INFO_SECTOR, _BACKUP_SECTOR = 1, 6
# One table, as wimboot's disk has it: nobody writes here, and it saves memory.
_NR_FATS = 1
_ROOT_CLUSTER = 2
_END = 0x0FFFFFFF
_TRACK_SECTORS, _HEADS = 63, 255
_INFO = struct.Struct("<4s480x4sII12x4s")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file's bytes are: the path that it was planned by, bytes into the volume, bytes."""

    path: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Layout:
    """A volume of size bytes: metadata is how it begins, files lie behind it in this order, and all
    else is zeros.
    """

    size: int
    metadata: bytes
    files: tuple[Place, ...]


def plan(files: Mapping[str, int], label: str = "PYKEXEC", hidden_sectors: int = 0) -> Layout:
    """A volume for files of these sizes, by path; hidden_sectors is where it begins on its disk.

    FormatError names a path that FAT cannot have, two that are one to it, or a file of 4 GiB.
    """
    check_label(label)
    for path, size in files.items():
        if size > FILE_SIZE_MAX:
            raise FormatError(f"{path}: {size} bytes, and FAT32 has no files of 4 GiB or more")
    root = make_tree(files.items())
    nodes = (root, *walk(root))
    for sectors in _CLUSTER_SECTORS:
        nr_used = _place(nodes, sectors * SECTOR_SIZE)
        if nr_used >= CLUSTERS_MIN:
            break
    nr_clusters = max(nr_used, CLUSTERS_MIN)
    if nr_clusters > _CLUSTERS_MAX:
        raise FormatError(f"volume: {nr_clusters} clusters are too many")
    table = _table(nodes, nr_clusters)
    data_sector = _RESERVED_SECTORS + _NR_FATS * len(table) // SECTOR_SIZE
    nr_sectors = data_sector + nr_clusters * sectors
    fat_sectors = len(table) // SECTOR_SIZE
    boot = _boot_sector(nodes, label, sectors, fat_sectors, nr_sectors, hidden_sectors)
    info = _INFO.pack(
        b"RRaA", b"rrAa", nr_clusters - nr_used, _ROOT_CLUSTER + nr_used, b"\0\0\x55\xaa"
    )
    # The two sectors and their backup.
    reserved = (boot + info).ljust(_BACKUP_SECTOR * SECTOR_SIZE, b"\0") + boot + info
    start, cluster_size = data_sector * SECTOR_SIZE, sectors * SECTOR_SIZE
    places = [
        Place(node.path, start + (node.cluster - _ROOT_CLUSTER) * cluster_size, node.size)
        for node in nodes
        if node.size
    ]
    metadata = reserved.ljust(_RESERVED_SECTORS * SECTOR_SIZE, b"\0") + table
    metadata += _directories(nodes, label, cluster_size)
    return Layout(nr_sectors * SECTOR_SIZE, metadata, tuple(places))


def _place(nodes: tuple[Node, ...], cluster_size: int) -> int:
    """Give every node its clusters, directories first, the root the very first; how many that
    takes.
    """
    following = _ROOT_CLUSTER
    for node in nodes:
        if node.is_directory:
            following = node.place(node.listing_size, cluster_size, following)
    for node in nodes:
        if node.size is not None:
            following = node.place(node.size, cluster_size, following)
    return following - _ROOT_CLUSTER


def _table(nodes: tuple[Node, ...], nr_clusters: int) -> bytes:
    """The file allocation table, in whole sectors."""
    table = array("I", bytes(4 * (nr_clusters + _ROOT_CLUSTER)))
    table[0], table[1] = _END & ~0xFF | MEDIA, _END
    for node in nodes:
        if node.nr_clusters:
            end = node.cluster + node.nr_clusters
            table[node.cluster : end] = array("I", [*range(node.cluster + 1, end), _END])
    data = table.tobytes()
    return data + bytes(-len(data) % SECTOR_SIZE)


def _directories(nodes: tuple[Node, ...], label: str, cluster_size: int) -> bytes:
    """The clusters of all directories."""
    data = b""
    for node in nodes:
        if node.is_directory:
            own = b"" if node.parent else entry(padded_label(label), VOLUME, 0, 0)
            data += (own + listing(node)).ljust(node.nr_clusters * cluster_size, b"\0")
    return data


def _boot_sector(
    nodes: tuple[Node, ...],
    label: str,
    cluster_sectors: int,
    fat_sectors: int,
    nr_sectors: int,
    hidden_sectors: int,
) -> bytes:
    names = "\n".join(sorted(node.name for node in nodes))
    sector = struct.pack(
        "<3s8sHBHBHHBHHHIIIHHIHH12xBBBI11s8s", b"\xeb\x58\x90", b"pykexec ", SECTOR_SIZE,
        cluster_sectors, _RESERVED_SECTORS, _NR_FATS, 0, 0, MEDIA, 0, _TRACK_SECTORS, _HEADS,
        hidden_sectors, nr_sectors, fat_sectors, 0, 0, _ROOT_CLUSTER, _INFO_SECTOR, _BACKUP_SECTOR,
        0x80, 0, 0x29, zlib.crc32(names.encode()), padded_label(label), b"FAT32   ",
    )  # fmt: skip
    return sector.ljust(SECTOR_SIZE - 2, b"\0") + b"\x55\xaa"
