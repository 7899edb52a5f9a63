# SPDX-License-Identifier: Apache-2.0
"""Files of FAT12, FAT16 and FAT32 volumes, read from untrusted bytes (Microsoft's FAT specification
1.03).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from pykexec.disk import Reader, SecretReader
from pykexec.errors import FormatError
from pykexec.secret import Secret

DIRECTORY_MAX = 2 << 20
"""Bytes of a directory: 65536 entries."""
_BOOT = struct.Struct("<HBHBHHBH8xII")
_BOOT_OFFSET = 11
_ROOT_CLUSTER_OFFSET = 44
_ENTRY = struct.Struct("<11sBBBHHHHHHHI")
_VOLUME, _DIRECTORY, _LONG_NAME, _ATTRIBUTES = 0x08, 0x10, 0x0F, 0x3F
_FREE, _END, _KANJI = 0xE5, 0x00, 0x05
_LOWER_BASE, _LOWER_EXTENSION = 0x08, 0x10
_LAST_LONG, _LONG_MAX = 0x40, 20
_FAT12_CLUSTERS, _FAT16_CLUSTERS = 4085, 65525
_FAT32_MASK = 0x0FFFFFFF
_FAT_PIECE = 4096


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or directory; cluster 0 has no bytes, of a directory's parent it is the root."""

    name: str
    is_directory: bool
    cluster: int
    size: int


class FatVolume:
    """A volume; read gives its bytes. FormatError, which names what, where it is none."""

    def __init__(self, read: Reader, what: str) -> None:
        self._read, self._what = read, what
        boot = read(0, 512)
        if len(boot) < 512 or boot[510:] != b"\x55\xaa" or boot[0] not in (0xEB, 0xE9):
            raise self._fault("no FAT volume")
        (sector, per_cluster, reserved, nr_tables, nr_root, small, _, table, large, wide) = (
            _BOOT.unpack_from(boot, _BOOT_OFFSET)
        )
        if sector not in (512, 1024, 2048, 4096) or not reserved or nr_tables not in (1, 2):
            raise self._fault("no FAT volume")
        if not per_cluster or per_cluster & (per_cluster - 1):
            raise self._fault(f"no FAT volume: {per_cluster} sectors are no cluster")
        table = table or wide
        root_sectors = -(-nr_root * _ENTRY.size // sector)
        first = reserved + nr_tables * table + root_sectors
        self._cluster_size = per_cluster * sector
        self._nr_clusters = ((small or large) - first) // per_cluster
        if self._nr_clusters < 1 or table < 1:
            raise self._fault("no FAT volume: it has no clusters")
        self._bits = _bits(self._nr_clusters)
        if (self._nr_clusters + 2) * self._bits > table * sector * 8:
            raise self._fault(f"its table has not all of {self._nr_clusters} clusters")
        self._data = first * sector
        self._table = reserved * sector
        self._pieces: dict[int, bytes] = {}
        self._root_size = nr_root * _ENTRY.size
        self._root_start = self._data - root_sectors * sector
        self._root = struct.unpack_from("<I", boot, _ROOT_CLUSTER_OFFSET)[0]

    def find(self, path: str) -> Entry | None:
        """The file or directory at path, names separated by "\\" or "/", in any case."""
        entry = Entry("", True, 0, 0)
        for name in filter(None, path.replace("\\", "/").split("/")):
            if not entry.is_directory:
                return None
            listed = (each for each in self.entries(entry) if each.name.upper() == name.upper())
            found = next(listed, None)
            if found is None:
                return None
            entry = found
        return entry

    def read_file(self, path: str, limit: int) -> bytes | None:
        """All of a file, None where there is none; FormatError beyond limit or where it is cut
        off.
        """
        entry = self._file(path, limit)
        if entry is None:
            return None
        return self._chain(entry.cluster, entry.size, path)

    def read_secret(self, path: str, limit: int, read: SecretReader) -> Secret | None:
        """read_file() into locked memory, by read, which has the same bytes as the volume; the
        secret is the caller's to wipe.
        """
        entry = self._file(path, limit)
        if entry is None:
            return None
        secret, at = Secret(entry.size), 0
        for start, size in self._pieces_of(entry.cluster, entry.size, path):
            count = read(start, secret.view[at : at + size])
            if count != size:
                secret.wipe()
                raise self._cut_off(path, start + count)
            at += size
        return secret

    def places(self, file: Entry) -> list[tuple[int, int]]:
        """Where on the volume a file's bytes are, in order: offset and size of each piece;
        FormatError where its chain is none.
        """
        return self._pieces_of(file.cluster, file.size, file.name)

    def entries(self, directory: Entry) -> Iterator[Entry]:
        """What is in a directory, but for itself and its parent."""
        long: list[tuple[int, int, bytes]] = []
        data = self._listing(directory)
        for offset in range(0, len(data) - _ENTRY.size + 1, _ENTRY.size):
            short, attributes, case, *_ = fields = _ENTRY.unpack_from(data, offset)
            if short[0] == _END:
                return
            if short[0] == _FREE:
                long = []
            elif attributes & _ATTRIBUTES == _LONG_NAME:
                long.append(_long_piece(data[offset : offset + _ENTRY.size]))
            else:
                if not attributes & _VOLUME and short.rstrip() not in (b".", b".."):
                    name = _long_name(long, short) or _short_name(short, case)
                    high, low, size = fields[7], fields[10], fields[11]
                    cluster = (high << 16 if self._bits == 32 else 0) | low
                    yield Entry(name, bool(attributes & _DIRECTORY), cluster, size)
                long = []

    def _file(self, path: str, limit: int) -> Entry | None:
        entry = self.find(path)
        if entry is None or entry.is_directory:
            return None
        if entry.size > limit:
            raise self._fault(f"{path}: {entry.size} bytes, more than {limit}")
        return entry

    def _listing(self, directory: Entry) -> bytes:
        what = directory.name or "root directory"
        if directory.cluster:
            return self._chain(directory.cluster, None, what)
        if self._bits == 32:
            return self._chain(self._root, None, what)
        return self._bytes(self._root_start, self._root_size, what)

    def _chain(self, cluster: int, size: int | None, what: str) -> bytes:
        """So many bytes of a chain of clusters, or all of a directory's."""
        pieces = self._pieces_of(cluster, size, what)
        return b"".join(self._bytes(start, count, what) for start, count in pieces)

    def _pieces_of(self, cluster: int, size: int | None, what: str) -> list[tuple[int, int]]:
        """Where on the volume they are, and how many bytes; what lies together is one piece."""
        left = DIRECTORY_MAX if size is None else size
        pieces: list[tuple[int, int]] = []
        while left > 0:
            if size is None and self._is_end(cluster):
                break
            if not 2 <= cluster < self._nr_clusters + 2:
                raise self._fault(f"{what}: cluster {cluster} of {self._nr_clusters}")
            start = self._data + (cluster - 2) * self._cluster_size
            count = min(left, self._cluster_size)
            if pieces and sum(pieces[-1]) == start:
                pieces[-1] = (pieces[-1][0], pieces[-1][1] + count)
            else:
                pieces.append((start, count))
            left -= count
            cluster = self._next(cluster)
        return pieces

    def _is_end(self, cluster: int) -> bool:
        end = {12: 0xFF8, 16: 0xFFF8, 32: 0x0FFFFFF8}[self._bits]
        return cluster >= end

    def _next(self, cluster: int) -> int:
        bit = cluster * self._bits
        number, offset = divmod(bit // 8, _FAT_PIECE)
        if number not in self._pieces:
            # A byte more: of FAT12 an entry may reach into the next piece.
            piece = self._read(self._table + number * _FAT_PIECE, _FAT_PIECE + 1)
            self._pieces[number] = piece.ljust(_FAT_PIECE + 1, b"\0")
        piece = self._pieces[number]
        if self._bits == 32:
            return int.from_bytes(piece[offset : offset + 4], "little") & _FAT32_MASK
        value = int.from_bytes(piece[offset : offset + 2], "little")
        return value if self._bits == 16 else value >> bit % 8 & 0xFFF

    def _bytes(self, offset: int, size: int, what: str) -> bytes:
        data = self._read(offset, size)
        if len(data) != size:
            raise self._cut_off(what, offset + len(data))
        return data

    def _cut_off(self, what: str, offset: int) -> FormatError:
        return self._fault(f"{what}: cut off at offset {offset}")

    def _fault(self, fault: str) -> FormatError:
        return FormatError(f"{self._what}: {fault}")


def _bits(nr_clusters: int) -> int:
    """Of an entry: the number of clusters alone says which FAT it is."""
    return 12 if nr_clusters < _FAT12_CLUSTERS else 16 if nr_clusters < _FAT16_CLUSTERS else 32


def _long_piece(entry: bytes) -> tuple[int, int, bytes]:
    """Number, checksum and 13 characters."""
    return entry[0], entry[13], entry[1:11] + entry[14:26] + entry[28:32]


def _long_name(pieces: list[tuple[int, int, bytes]], short: bytes) -> str:
    """The long name, "" where its pieces are not those of this short one."""
    checksum = 0
    for byte in short:
        checksum = ((checksum >> 1) + ((checksum & 1) << 7) + byte) & 0xFF
    count = len(pieces)
    numbers = [number for number, _, _ in pieces]
    if not 1 <= count <= _LONG_MAX or numbers != [count | _LAST_LONG, *range(count - 1, 0, -1)]:
        return ""
    if any(found != checksum for _, found, _ in pieces):
        return ""
    data = b"".join(piece for _, _, piece in reversed(pieces))
    return data.decode("utf-16-le", "replace").partition("\0")[0]


def _short_name(short: bytes, case: int) -> str:
    if short[0] == _KANJI:
        short = bytes([_FREE]) + short[1:]
    base, extension = (part.decode("latin-1").rstrip() for part in (short[:8], short[8:]))
    base = base.lower() if case & _LOWER_BASE else base
    extension = extension.lower() if case & _LOWER_EXTENSION else extension
    return f"{base}.{extension}" if extension else base
