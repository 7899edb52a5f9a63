# SPDX-License-Identifier: Apache-2.0
"""Registry hives ("regf") as untrusted bytes: keys by their path, values by their name.

Microsoft documents none of it; the layout is that which hivex and libregf read. Every offset is
checked against the bin that it must lie in, and no list leads back to itself: what is asked for is
found in a bounded number of steps, or refused.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from pykexec.errors import FormatError

BASE_SIZE = 4096
REG_SZ, REG_EXPAND_SZ, REG_BINARY, REG_DWORD, REG_MULTI_SZ = 1, 2, 3, 4, 7
_STRINGS = (REG_SZ, REG_EXPAND_SZ, REG_MULTI_SZ)
_BASE = struct.Struct("<4sIIQ7I")
_CHECKSUM_OFFSET = 508
_MAJOR, _FILE, _DIRECT = 1, 0, 1
_BIN = struct.Struct("<4sII")
_BIN_HEADER_SIZE = 32
_KEY = struct.Struct("<2sHQIIIIIIIIII16xIHH")
_KEY_NAME_OFFSET = 76
_NAME_IS_ASCII = 0x20
_VALUE = struct.Struct("<2sHIIIHH")
_VALUE_NAME_IS_ASCII = 1
_RESIDENT = 1 << 31
_NOWHERE = 0xFFFFFFFF
_SUBKEYS_MAX, _VALUES_MAX = 1 << 16, 1 << 12
_VALUE_MAX = 16344  # more is kept in pieces, and no boot configuration has so much


@dataclass(frozen=True, slots=True)
class Key:
    """A key; offsets are those of its lists, from the first bin on."""

    name: str
    nr_subkeys: int
    subkeys_offset: int
    nr_values: int
    values_offset: int


@dataclass(frozen=True, slots=True)
class Value:
    """A value as it is stored; type is one of REG_*."""

    name: str
    type: int
    data: bytes

    @property
    def text(self) -> str:
        """The string, of several the first; "" for what is none."""
        return next(iter(self.texts), "")

    @property
    def texts(self) -> tuple[str, ...]:
        """The strings; none for what is none."""
        if self.type not in _STRINGS:
            return ()
        words = self.data.decode("utf-16-le", "replace").split("\0")
        return tuple(word for word in words if word) if self.type == REG_MULTI_SZ else (words[0],)


class Hive:
    """A hive; FormatError, which names source, for what is none."""

    def __init__(self, data: bytes, source: str) -> None:
        self._source = source
        if len(data) < BASE_SIZE:
            raise self._fault(f"{len(data)} bytes are too few for a registry hive")
        (signature, first, second, _, major, _, kind, layout, root, size, _) = _BASE.unpack_from(
            data
        )
        if signature != b"regf":
            raise self._fault("no registry hive (no regf at offset 0)")
        if (major, kind, layout) != (_MAJOR, _FILE, _DIRECT):
            raise self._fault(f"registry hive of version {major}, kind {kind}, layout {layout}")
        stored = int.from_bytes(data[_CHECKSUM_OFFSET : _CHECKSUM_OFFSET + 4], "little")
        if checksum(data) != stored:
            raise self._fault(f"registry hive: checksum {stored:#010x}, not {checksum(data):#010x}")
        if not 0 < size <= len(data) - BASE_SIZE or size % BASE_SIZE:
            raise self._fault(f"registry hive: bins of {size} bytes in {len(data)}")
        self.is_whole = first == second
        """False where its last change was not written to the end: Windows repeats that."""
        self._bins = data[BASE_SIZE : BASE_SIZE + size]
        self._starts = list(self._walk_bins())
        self.root = self._key(root)

    def key(self, *path: str) -> Key | None:
        """The key at path below the root, in any case; None where there is none."""
        found: Key | None = self.root
        for name in path:
            listed = self.subkeys(found) if found else iter(())
            found = next((key for key in listed if key.name.upper() == name.upper()), None)
        return found

    def subkeys(self, key: Key) -> Iterator[Key]:
        """The keys right below, as they are listed; FormatError for a list that is none."""
        if not key.nr_subkeys or key.subkeys_offset == _NOWHERE:
            return
        if key.nr_subkeys > _SUBKEYS_MAX:
            raise self._fault(f"key {key.name!r}: {key.nr_subkeys} subkeys")
        count = 0
        for offset in self._list(key.subkeys_offset, "lf", "lh", "li", "ri"):
            count += 1
            if count > key.nr_subkeys:
                raise self._fault(f"key {key.name!r}: more subkeys than its {key.nr_subkeys}")
            yield self._key(offset)

    def values(self, key: Key) -> Iterator[Value]:
        """The key's values."""
        if not key.nr_values or key.values_offset == _NOWHERE:
            return
        if key.nr_values > _VALUES_MAX:
            raise self._fault(f"key {key.name!r}: {key.nr_values} values")
        cell = self._cell(key.values_offset)
        if len(cell) < 4 * key.nr_values:
            raise self._fault(f"key {key.name!r}: list of {key.nr_values} values is cut off")
        for offset in struct.unpack_from(f"<{key.nr_values}I", cell):
            yield self._value(offset)

    def value(self, key: Key, name: str) -> Value | None:
        """One value, in any case; None where there is none."""
        return next((v for v in self.values(key) if v.name.upper() == name.upper()), None)

    def _walk_bins(self) -> Iterator[int]:
        offset = 0
        while offset < len(self._bins):
            signature, own, size = _BIN.unpack_from(self._bins, offset)
            if (signature, own) != (b"hbin", offset):
                raise self._fault(f"registry hive: offset {offset:#x}: no bin")
            if not 0 < size <= len(self._bins) - offset or size % BASE_SIZE:
                raise self._fault(f"registry hive: offset {offset:#x}: bin of {size} bytes")
            yield offset
            offset += size

    def _cell(self, offset: int) -> bytes:
        """The contents of a cell that is in use and lies inside one bin."""
        index = bisect_right(self._starts, offset)
        end = self._starts[index] if index < len(self._starts) else len(self._bins)
        start = self._starts[index - 1] + _BIN_HEADER_SIZE
        if not start <= offset <= end - 8 or offset % 8:
            raise self._fault(f"registry hive: no cell at {offset:#x}")
        (size,) = struct.unpack_from("<i", self._bins, offset)
        if not 8 <= -size <= end - offset:
            raise self._fault(f"registry hive: offset {offset:#x}: cell of {-size} bytes")
        return self._bins[offset + 4 : offset - size]

    def _list(self, offset: int, *kinds: str) -> Iterator[int]:
        """Offsets of keys: of a list, or of a list of lists, which has no other in it."""
        cell = self._cell(offset)
        kind, count = cell[:2].decode("latin-1"), int.from_bytes(cell[2:4], "little")
        if kind not in kinds:
            raise self._fault(f"registry hive: offset {offset:#x}: {kind!r} is no list of subkeys")
        step = 8 if kind in ("lf", "lh") else 4
        if len(cell) < 4 + step * count:
            raise self._fault(f"registry hive: offset {offset:#x}: list of {count} is cut off")
        for at in range(4, 4 + step * count, step):
            (found,) = struct.unpack_from("<I", cell, at)
            if kind == "ri":
                yield from self._list(found, "lf", "lh", "li")
            else:
                yield found

    def _key(self, offset: int) -> Key:
        cell = self._cell(offset)
        if len(cell) < _KEY_NAME_OFFSET or cell[:2] != b"nk":
            raise self._fault(f"registry hive: offset {offset:#x}: no key")
        fields = _KEY.unpack_from(cell)
        flags, nr_subkeys, subkeys, nr_values, values = (fields[i] for i in (1, 5, 7, 9, 10))
        size = fields[-2]
        name = cell[_KEY_NAME_OFFSET : _KEY_NAME_OFFSET + size]
        if len(name) != size:
            raise self._fault(f"registry hive: offset {offset:#x}: name of {size} bytes")
        text = _name(name, bool(flags & _NAME_IS_ASCII))
        return Key(text, nr_subkeys, subkeys, nr_values, values)

    def _value(self, offset: int) -> Value:
        cell = self._cell(offset)
        if len(cell) < _VALUE.size or cell[:2] != b"vk":
            raise self._fault(f"registry hive: offset {offset:#x}: no value")
        _, name_size, size, at, type_, flags, _ = _VALUE.unpack_from(cell)
        name = cell[_VALUE.size : _VALUE.size + name_size]
        if len(name) != name_size:
            raise self._fault(f"registry hive: offset {offset:#x}: name of {name_size} bytes")
        text = _name(name, bool(flags & _VALUE_NAME_IS_ASCII))
        return Value(text, type_, self._data(text, size, at))

    def _data(self, name: str, size: int, at: int) -> bytes:
        if size & _RESIDENT:
            if (size := size & ~_RESIDENT) > 4:
                raise self._fault(f"value {name!r}: {size} bytes in a place for 4")
            return struct.pack("<I", at)[:size]
        if size > _VALUE_MAX:
            raise self._fault(f"value {name!r}: {size} bytes, more than {_VALUE_MAX}")
        data = self._cell(at)[:size] if size else b""
        if len(data) != size:
            raise self._fault(f"value {name!r}: {size} bytes in a cell of {len(data)}")
        return data

    def _fault(self, fault: str) -> FormatError:
        return FormatError(f"{self._source}: {fault}")


def checksum(base: bytes) -> int:
    """Of a base block: its words before the checksum, joined by exclusive or; 0 and -1 are no
    checksums.
    """
    value = 0
    for (word,) in struct.iter_unpack("<I", base[:_CHECKSUM_OFFSET]):
        value ^= word
    return {0: 1, 0xFFFFFFFF: 0xFFFFFFFE}.get(value, value)


def _name(data: bytes, is_ascii: bool) -> str:
    return data.decode("latin-1" if is_ascii else "utf-16-le", "replace")
