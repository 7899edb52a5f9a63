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
from dataclasses import dataclass, field

from pykexec.errors import FormatError

SECTOR_SIZE = 512
_CLUSTERS_MAX = 4084  # one more, and every reader takes it for FAT16
_CLUSTER_SECTORS = (1, 2, 4, 8, 16, 32, 64)
_RESERVED_SECTORS = 1
_NR_FATS = 2
_ENTRY_SIZE = 32
_ROOT_ENTRIES_MIN = 112
_ENTRIES_PER_SECTOR = SECTOR_SIZE // _ENTRY_SIZE
_TRACK_SECTORS, _HEADS = 32, 2  # mtools wants whole tracks
_MEDIA = 0xF8
_EPOCH = 0x0021  # 1980-01-01
_DIRECTORY, _ARCHIVE, _VOLUME, _LONG_NAME = 0x10, 0x20, 0x08, 0x0F
_LAST_LONG = 0x40
_LONG_NAME_MAX = 255
_LONG_PIECE = 13
_SHORT_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789$%'-_@~`!(){}^#&")
_LABEL_CHARACTERS = _SHORT_CHARACTERS | {" "}
_BAD_CHARACTERS = frozenset('"*/:<>?\\|')
_RESERVED_NAMES = frozenset(
    ("CON", "PRN", "AUX", "NUL", *(f"{name}{n}" for name in ("COM", "LPT") for n in range(1, 10)))
)
_FAT_END = 0xFFF
# EDK II's FAT driver reads and keeps up to so many bytes at once, counted from the root directory.
# To list a directory must not bring a key into the driver's memory, where nobody wipes it.
_READ_AHEAD = 64 << 10


@dataclass(slots=True)
class _Node:
    """A file (with data) or directory; cluster 0 has no clusters, as the root and empty files."""

    name: str
    data: memoryview | None = None
    children: dict[str, _Node] = field(default_factory=dict)
    short: bytes = b""
    cluster: int = 0
    nr_clusters: int = 0

    @property
    def is_directory(self) -> bool:
        return self.data is None

    @property
    def nr_entries(self) -> int:
        """Directory entries that its own name takes in its parent."""
        return 1 + (-(-len(_utf16(self.name)) // _LONG_PIECE) if self._is_long else 0)

    @property
    def _is_long(self) -> bool:
        return _joined(self.short) != self.name


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume whose size is known; write() makes it."""

    size: int
    label: str
    _root: _Node
    _nodes: tuple[_Node, ...]
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
        entries = _entry(self.label.upper().ljust(11).encode("ascii"), _VOLUME, 0, 0)
        entries += _listing(self._root)
        out[self._root_start : self._root_start + len(entries)] = entries
        parents = {id(child): node for node in (self._root, *self._nodes)
                   for child in node.children.values()}  # fmt: skip
        for node in self._nodes:
            start = self._data_start + (node.cluster - 2) * self._cluster_size
            if node.data is not None:
                out[start : start + len(node.data)] = node.data
                continue
            listing = _entry(b".".ljust(11), _DIRECTORY, node.cluster, 0)
            listing += _entry(b"..".ljust(11), _DIRECTORY, parents[id(node)].cluster, 0)
            listing += _listing(node)
            out[start : start + len(listing)] = listing

    @property
    def _cluster_size(self) -> int:
        return self._cluster_sectors * SECTOR_SIZE

    @property
    def _root_start(self) -> int:
        return (_RESERVED_SECTORS + _NR_FATS * self._fat_sectors) * SECTOR_SIZE

    @property
    def _data_start(self) -> int:
        return self._root_start + self._root_entries * _ENTRY_SIZE

    def _write_boot_sector(self, out: memoryview, hidden_sectors: int, which: str) -> None:
        nr_sectors = self.size // SECTOR_SIZE
        names = "\n".join((*sorted(node.name for node in self._nodes), *([which] if which else [])))
        struct.pack_into(
            "<3s8sHBHBHHBHHHIIBBBI11s8s", out, 0, b"\xeb\x3c\x90", b"pykexec ", SECTOR_SIZE,
            self._cluster_sectors, _RESERVED_SECTORS, _NR_FATS, self._root_entries,
            nr_sectors if nr_sectors < 1 << 16 else 0, _MEDIA, self._fat_sectors, _TRACK_SECTORS,
            _HEADS, hidden_sectors, 0 if nr_sectors < 1 << 16 else nr_sectors, 0x80, 0, 0x29,
            zlib.crc32(names.encode()), self.label.upper().ljust(11).encode("ascii"), b"FAT12   ",
        )  # fmt: skip
        struct.pack_into("<H", out, SECTOR_SIZE - 2, 0xAA55)

    def _fat(self) -> bytes:
        values = [0] * (self._nr_clusters + 2)
        values[0], values[1] = 0xF00 | _MEDIA, _FAT_END
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
    if not 0 < len(label) <= 11 or label[0] == " " or not set(label.upper()) <= _LABEL_CHARACTERS:
        raise FormatError(f"label {label!r}: at most 11 letters, digits and spaces")
    root = _Node("")
    for path in sorted(files):
        _insert(root, path, files[path])
    nodes = tuple(_walk(root))
    used = 1 + sum(node.nr_entries for node in root.children.values())
    root_entries = _ROOT_ENTRIES_MIN + max(0, used - _ROOT_ENTRIES_MIN)
    root_entries += -root_entries % _ENTRIES_PER_SECTOR
    for sectors in _CLUSTER_SECTORS:
        needed = _place(nodes, sectors * SECTOR_SIZE, root_entries * _ENTRY_SIZE)
        volume = _sized(root, nodes, label, sectors, needed, root_entries)
        if volume._nr_clusters <= _CLUSTERS_MAX:
            return volume
    raise FormatError(f"volume: {needed} clusters of {sectors * SECTOR_SIZE} bytes are too many")


def _sized(
    root: _Node, nodes: tuple[_Node, ...], label: str, sectors: int, needed: int, entries: int
) -> Volume:
    """Round up to whole tracks; what that adds are clusters, too."""
    fat_sectors = -(-((_CLUSTERS_MAX + 2) * 3 // 2) // SECTOR_SIZE)
    meta = _RESERVED_SECTORS + _NR_FATS * fat_sectors + entries // _ENTRIES_PER_SECTOR
    total = meta + max(needed, 1) * sectors
    total += -total % (_TRACK_SECTORS * _HEADS)
    nr_clusters = (total - meta) // sectors
    return Volume(
        total * SECTOR_SIZE, label, root, nodes, sectors, fat_sectors, entries, nr_clusters
    )


def _insert(root: _Node, path: str, data: memoryview) -> None:
    node = root
    names = path.replace("\\", "/").split("/")
    for index, name in enumerate(names):
        _check_name(name, path)
        is_file = index == len(names) - 1
        child = node.children.get(name.upper())
        if child and (is_file or not child.is_directory):
            raise FormatError(f"{path}: {name} is there already")
        if not child:
            child = _Node(name, data if is_file else None)
            child.short = _short_name(name, {other.short for other in node.children.values()})
            node.children[name.upper()] = child
        node = child


def _check_name(name: str, path: str) -> None:
    bad = _BAD_CHARACTERS & set(name) or any(ord(character) < 32 for character in name)
    if not name or bad or name[-1] in ". " or name[0] == " " or name in (".", ".."):
        raise FormatError(f"{path!r}: {name!r} is no name that FAT has")
    if len(_utf16(name)) > _LONG_NAME_MAX or name.partition(".")[0].upper() in _RESERVED_NAMES:
        raise FormatError(f"{path!r}: {name!r} is too long or reserved")


def _utf16(name: str) -> list[int]:
    try:
        data = name.encode("utf-16-le")
    except UnicodeEncodeError:
        raise FormatError(f"{name!r} is no Unicode text") from None
    return list(struct.unpack(f"<{len(data) // 2}H", data))


def _short_name(name: str, taken: set[bytes]) -> bytes:
    """The name itself where it is one of 8.3 in capitals, else one made of it with a number."""
    base, dot, extension = name.rpartition(".")
    if not dot:
        base, extension = name, ""
    plain = f"{base:8}{extension:3}"
    fits = len(base) <= 8 and len(extension) <= 3 and set(base + extension) <= _SHORT_CHARACTERS
    if fits and base and plain.encode() not in taken:
        return plain.encode()
    kept = "".join(c for c in base.upper() if c in _SHORT_CHARACTERS) or "_"
    tail = "".join(c for c in extension.upper() if c in _SHORT_CHARACTERS)[:3]
    for number in range(1, 1_000_000):
        suffix = f"~{number}"
        short = f"{kept[: 8 - len(suffix)] + suffix:8}{tail:3}".encode()
        if short not in taken:
            return short
    raise FormatError(f"{name}: too many names like it")


def _joined(short: bytes) -> str:
    base, extension = short[:8].decode().rstrip(), short[8:].decode().rstrip()
    return f"{base}.{extension}" if extension else base


def _walk(node: _Node) -> list[_Node]:
    found = []
    for child in node.children.values():
        found += [child, *_walk(child)]
    return found


def _place(nodes: tuple[_Node, ...], cluster_size: int, root_size: int) -> int:
    """Give every node its clusters: directories, a gap, files; how many clusters that takes."""
    following = 2
    for node in nodes:
        if node.data is None:
            nr_entries = 2 + sum(child.nr_entries for child in node.children.values())
            following = _place_one(node, nr_entries * _ENTRY_SIZE, cluster_size, following)
    listed = root_size + (following - 2) * cluster_size
    following += -(-(-listed % _READ_AHEAD) // cluster_size)
    for node in nodes:
        if node.data is not None:
            following = _place_one(node, len(node.data), cluster_size, following)
    return following - 2


def _place_one(node: _Node, size: int, cluster_size: int, first: int) -> int:
    node.nr_clusters = -(-size // cluster_size)
    node.cluster = first if node.nr_clusters else 0
    return first + node.nr_clusters


def _listing(node: _Node) -> bytes:
    return b"".join(
        _long_entries(child)
        + _entry(
            child.short,
            _DIRECTORY if child.is_directory else _ARCHIVE,
            child.cluster,
            0 if child.data is None else len(child.data),
        )
        for child in node.children.values()
    )


def _entry(short: bytes, attributes: int, cluster: int, size: int) -> bytes:
    return struct.pack(
        "<11sBBBHHHHHHHI", short, attributes, 0, 0, 0, _EPOCH, _EPOCH, 0, 0, _EPOCH, cluster, size
    )


def _long_entries(node: _Node) -> bytes:
    """The entries of a long name, which stand before the short one, last piece first."""
    nr_pieces = node.nr_entries - 1
    if not nr_pieces:
        return b""
    checksum = 0
    for byte in node.short:
        checksum = ((checksum >> 1) + ((checksum & 1) << 7) + byte) & 0xFF
    units = _utf16(node.name)
    if len(units) % _LONG_PIECE:
        units.append(0)
    units += [0xFFFF] * (-len(units) % _LONG_PIECE)
    entries = b""
    for number in range(nr_pieces, 0, -1):
        piece = struct.pack("<13H", *units[(number - 1) * _LONG_PIECE :][:_LONG_PIECE])
        order = number | (_LAST_LONG if number == nr_pieces else 0)
        entries += struct.pack(
            "<B10sBBB12sH4s", order, piece[:10], _LONG_NAME, 0, checksum, piece[10:22], 0,
            piece[22:],
        )  # fmt: skip
    return entries
