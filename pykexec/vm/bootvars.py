# SPDX-License-Identifier: Apache-2.0
"""Boot entries written into a copy of OVMF's variable store before the machine starts.

Without a bootable entry OVMF spends minutes on network boot. Layouts: UEFI 2.10, 3.1.3
(load option), 10.3.5 (media device path), edk2 VariableFormat.h (authenticated variables).
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pykexec.efi.device_path import DevicePath
from pykexec.errors import FormatError
from pykexec.vm.disk import DiskLayout, PartitionLayout

_GLOBAL = uuid.UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
_AUTHENTICATED_STORE = uuid.UUID("aaf32c78-947b-439a-a180-2e144ec37792").bytes_le
_STORE_HEADER_SIZE = 28
_VARIABLE_HEADER = struct.Struct("<HBxIQ16sIII16s")
_STATE_OFFSET = 2
_VARIABLE_START, _VARIABLE_ADDED, _VARIABLE_DELETED = 0x55AA, 0x3F, 0xFD
_NON_VOLATILE_BOOT_RUNTIME = 7
_LOAD_OPTION_ACTIVE = 1


@dataclass(frozen=True, slots=True)
class BootEntry:
    r"""A file on a partition and its load options; path is like \EFI\BOOT\BOOTX64.EFI.

    options str is stored as UCS-2 with a terminator, bytes as they are.
    """

    title: str
    partition: PartitionLayout
    path: str
    options: str | bytes = ""


@dataclass(frozen=True, slots=True)
class UriEntry:
    """Network boot over HTTP from one address."""

    title: str
    uri: str


@dataclass(frozen=True, slots=True)
class PathEntry:
    """Whatever a whole device path leads to, a NIC's PXE or HTTP boot for one, with options."""

    title: str
    path: DevicePath
    options: str = ""


Entry = BootEntry | UriEntry | PathEntry


def boot_entry(
    disk: DiskLayout, path: str, options: str | bytes = "", title: str = "test"
) -> BootEntry:
    """An entry for a file on the first partition of disk."""
    return BootEntry(title, disk.partitions[0], path, options)


def write_boot_entries(template: Path, store: Path, entries: Sequence[Entry]) -> None:
    """Copy the variable store template to store, with entries as Boot0001... in BootOrder."""
    variables = {f"Boot{n:04X}": _load_option(entry) for n, entry in enumerate(entries, 1)}
    variables["BootOrder"] = struct.pack(f"<{len(entries)}H", *range(1, len(entries) + 1))
    store.write_bytes(add_variables(template.read_bytes(), variables))


def add_variables(
    store: bytes,
    variables: dict[str, bytes],
    *,
    vendor: uuid.UUID = _GLOBAL,
    attributes: int = _NON_VOLATILE_BOOT_RUNTIME,
) -> bytes:
    """The variable store with variables of vendor added or replaced; FormatError if it is full."""
    header = store.find(_AUTHENTICATED_STORE)
    if header < 0:
        raise FormatError("variable store: no authenticated variables in it")
    (size,) = struct.unpack_from("<I", store, header + 16)
    end = header + size
    result = bytearray(store)
    position = header + _STORE_HEADER_SIZE
    names = {vendor.bytes_le + _ucs2(name) for name in variables}
    for start, last in _spans(store, position, end):
        _, state, _, _, _, _, name_size, _, owner = _VARIABLE_HEADER.unpack_from(store, start)
        name = start + _VARIABLE_HEADER.size
        if owner + store[name : name + name_size] in names:
            result[start + _STATE_OFFSET] = state & _VARIABLE_DELETED
        position = _aligned(last)
    added = b"".join(_variable(name, data, vendor, attributes) for name, data in variables.items())
    if position + len(added) > end:
        raise FormatError("variable store: full")
    result[position : position + len(added)] = added
    return bytes(result)


def read_variables(store: bytes, vendor: uuid.UUID = _GLOBAL) -> dict[str, bytes]:
    """The variables of vendor that are in the store, without those deleted or replaced."""
    header = store.find(_AUTHENTICATED_STORE)
    (size,) = struct.unpack_from("<I", store, header + 16)
    found = {}
    for position, end in _spans(store, header + _STORE_HEADER_SIZE, header + size):
        _, state, _, _, _, _, name_size, _, owner = _VARIABLE_HEADER.unpack_from(store, position)
        data = position + _VARIABLE_HEADER.size + name_size
        if state == _VARIABLE_ADDED and owner == vendor.bytes_le:
            name = store[data - name_size : data - 2].decode("utf-16-le")
            found[name] = store[data:end]
    return found


def _spans(store: bytes, position: int, end: int) -> Iterator[tuple[int, int]]:
    """Start and end of each variable, deleted ones included."""
    while position + _VARIABLE_HEADER.size <= end:
        start, _, _, _, _, _, name_size, data_size, _ = _VARIABLE_HEADER.unpack_from(
            store, position
        )
        if start != _VARIABLE_START:
            return
        last = position + _VARIABLE_HEADER.size + name_size + data_size
        yield position, last
        position = _aligned(last)


def _variable(name: str, data: bytes, vendor: uuid.UUID, attributes: int) -> bytes:
    name_bytes = _ucs2(name)
    header = _VARIABLE_HEADER.pack(
        _VARIABLE_START,
        _VARIABLE_ADDED,
        attributes,
        0,
        bytes(16),
        0,
        len(name_bytes),
        len(data),
        vendor.bytes_le,
    )
    whole = header + name_bytes + data
    return whole.ljust(_aligned(len(whole)), b"\xff")


def _load_option(entry: Entry) -> bytes:
    options = b""
    if isinstance(entry, UriEntry):
        path = _node(3, 24, entry.uri.encode())
    elif isinstance(entry, PathEntry):
        path = b"".join(map(bytes, entry.path.nodes))
        options = _ucs2(entry.options) if entry.options else b""
    else:
        part = entry.partition
        drive = struct.pack(
            "<IQQ16sBB", part.number, part.start, part.size, part.guid.bytes_le, 2, 2
        )
        path = _node(4, 1, drive) + _node(4, 4, _ucs2(entry.path))
        options = entry.options if isinstance(entry.options, bytes) else _ucs2(entry.options)
        if not entry.options:
            options = b""
    path += _node(0x7F, 0xFF, b"")
    return struct.pack("<IH", _LOAD_OPTION_ACTIVE, len(path)) + _ucs2(entry.title) + path + options


def _node(type_: int, subtype: int, data: bytes) -> bytes:
    return struct.pack("<BBH", type_, subtype, 4 + len(data)) + data


def _ucs2(text: str) -> bytes:
    return text.encode("utf-16-le") + b"\0\0"


def _aligned(offset: int) -> int:
    return (offset + 3) & ~3
