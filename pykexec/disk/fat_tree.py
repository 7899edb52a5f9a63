# SPDX-License-Identifier: Apache-2.0
"""Names and directories of FAT volumes, of any width, as they are written."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

from pykexec.errors import FormatError

SECTOR_SIZE = 512
ENTRY_SIZE = 32
MEDIA = 0xF8
"""The media descriptor of a fixed disk."""
DIRECTORY, ARCHIVE, VOLUME, LONG_NAME = 0x10, 0x20, 0x08, 0x0F
_EPOCH = 0x0021  # 1980-01-01
_LAST_LONG = 0x40
_LONG_NAME_MAX = 255
_LONG_PIECE = 13
_LABEL_SIZE = 11
_SHORT_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789$%'-_@~`!(){}^#&")
_LABEL_CHARACTERS = _SHORT_CHARACTERS | {" "}
_BAD_CHARACTERS = frozenset('"*/:<>?\\|')
_RESERVED_NAMES = frozenset(
    ("CON", "PRN", "AUX", "NUL", *(f"{name}{n}" for name in ("COM", "LPT") for n in range(1, 10)))
)


@dataclass(slots=True)
class Node:
    """A file, or a directory, which has no size; cluster 0 has no clusters, as empty files.

    path is what a file was planned by.
    """

    name: str
    parent: Node | None = field(default=None, repr=False)
    path: str = ""
    size: int | None = None
    children: dict[str, Node] = field(default_factory=dict)
    short: bytes = b""
    cluster: int = 0
    nr_clusters: int = 0

    @property
    def is_directory(self) -> bool:
        """It is one, be it empty."""
        return self.size is None

    @property
    def nr_entries(self) -> int:
        """Directory entries that its own name takes in its parent."""
        return 1 + (-(-len(_utf16(self.name)) // _LONG_PIECE) if self._is_long else 0)

    @property
    def listing_size(self) -> int:
        """Bytes of what is in a directory: itself and its parent, or the root's label; its
        children.
        """
        own = 2 if self.parent else 1
        return (own + sum(child.nr_entries for child in self.children.values())) * ENTRY_SIZE

    def place(self, size: int, cluster_size: int, first: int) -> int:
        """Take the clusters that so many bytes need, from first on; the one behind them."""
        self.nr_clusters = -(-size // cluster_size)
        self.cluster = first if self.nr_clusters else 0
        return first + self.nr_clusters

    @property
    def _is_long(self) -> bool:
        return _joined(self.short) != self.name


def make_tree(files: Iterable[tuple[str, int]]) -> Node:
    """The root of a tree with these paths and sizes; "/" or "\\" between names.

    FormatError names a path that FAT cannot have, or two that are one to it.
    """
    root = Node("")
    for path, size in sorted(files):
        _insert(root, path, size)
    return root


def walk(node: Node) -> list[Node]:
    """All that is below node, parents before their children."""
    found = []
    for child in node.children.values():
        found += [child, *walk(child)]
    return found


def check_label(label: str) -> None:
    """FormatError for what cannot be the label of a volume."""
    fits = 0 < len(label) <= _LABEL_SIZE and label[0] != " "
    if not fits or not set(label.upper()) <= _LABEL_CHARACTERS:
        raise FormatError(f"label {label!r}: at most 11 letters, digits and spaces")


def padded_label(label: str) -> bytes:
    """label as boot sector and root directory have it."""
    return label.upper().ljust(_LABEL_SIZE).encode("ascii")


def _insert(root: Node, path: str, size: int) -> None:
    node = root
    names = path.replace("\\", "/").split("/")
    for index, name in enumerate(names):
        _check_name(name, path)
        is_file = index == len(names) - 1
        child = node.children.get(name.upper())
        if child and (is_file or not child.is_directory):
            raise FormatError(f"{path}: {name} is there already")
        if not child:
            child = Node(name, node, path, size) if is_file else Node(name, node)
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


def listing(node: Node) -> bytes:
    """The entries of a directory, but for the root's label."""
    entries = b""
    if node.parent:
        # The root is 0 to those in it, whatever cluster it has.
        above = node.parent.cluster if node.parent.parent else 0
        entries = entry(b".".ljust(11), DIRECTORY, node.cluster, 0)
        entries += entry(b"..".ljust(11), DIRECTORY, above, 0)
    return entries + b"".join(
        _long_entries(child)
        + entry(
            child.short,
            DIRECTORY if child.is_directory else ARCHIVE,
            child.cluster,
            child.size or 0,
        )
        for child in node.children.values()
    )


def entry(short: bytes, attributes: int, cluster: int, size: int) -> bytes:
    """One entry; only FAT32 has clusters of more than 16 bits."""
    return struct.pack(
        "<11sBBBHHHHHHHI", short, attributes, 0, 0, 0, _EPOCH, _EPOCH, cluster >> 16, 0, _EPOCH,
        cluster & 0xFFFF, size,
    )  # fmt: skip


def _long_entries(node: Node) -> bytes:
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
            "<B10sBBB12sH4s", order, piece[:10], LONG_NAME, 0, checksum, piece[10:22], 0,
            piece[22:],
        )  # fmt: skip
    return entries
