# SPDX-License-Identifier: Apache-2.0
"""Windows Imaging Format: is a file that goes by a whole wim, and one that can be booted?

Microsoft's "Windows Imaging File Format (WIM)", and wimlib's description of what that leaves out.
Nothing is unpacked: every part must lie within the file, and where there is an integrity table the
bytes must be those that it has the digests of.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

from pykexec.errors import FormatError

HEADER_SIZE = 208
MAGIC = b"MSWIM\0\0\0"
CHUNK_SIZE = 10 << 20
"""Of an integrity table: what every known writer takes. The table, which says so, comes last."""
_VERSION, _SOLID_VERSION = 0x10D00, 0xE00
_WRITE_IN_PROGRESS = 0x40
_HEADER = struct.Struct("<8sIIII16sHHI24s24s24sI24s60x")
_RESOURCE = struct.Struct("<QQ8x")
_ENTRY = struct.Struct("<24sH24x")
_INTEGRITY = struct.Struct("<III")
_SIZE_MASK = (1 << 56) - 1
_FREE, _METADATA, _COMPRESSED = 0x01, 0x02, 0x04
_SHA1_SIZE = 20
_TABLE_MAX = 64 << 20


@dataclass(frozen=True, slots=True)
class _Resource:
    """Where something is in the file."""

    start: int
    size: int
    flags: int

    @property
    def end(self) -> int:
        return self.start + self.size


def _resource(data: bytes) -> _Resource:
    size, start = _RESOURCE.unpack(data)
    return _Resource(start, size & _SIZE_MASK, size >> 56)


class WimCheck:
    """Looks at the wim of size bytes that update() is given in order, and then finish().

    Both raise FormatError, which names source, update() as early as it can be known.
    """

    def __init__(self, source: str, size: int) -> None:
        self._source, self._size = source, size
        self._offset = 0
        self._header = bytearray()
        self._lookup = self._integrity = _Resource(0, 0, 0)
        self._lookup_table, self._integrity_table = bytearray(), bytearray()
        self._part = self._nr_images = 0
        self._chunk = hashlib.sha1(usedforsecurity=False)
        self._chunks: list[bytes] = []
        if size < HEADER_SIZE:
            raise self._fault(f"is cut off: {size} bytes, and its header has {HEADER_SIZE}")

    def update(self, piece: bytes | memoryview) -> None:
        """Look at the next bytes."""
        view = memoryview(piece)
        if missing := HEADER_SIZE - len(self._header):
            self._header += view[:missing]
            self._offset += len(view[:missing])
            view = view[missing:]
            if len(self._header) == HEADER_SIZE:
                self._read_header()
        self._lookup_table += self._part_of(view, self._lookup)
        self._integrity_table += self._part_of(view, self._integrity)
        if self._integrity.size:
            self._digest(view[: max(0, self._lookup.end - self._offset)])
        self._offset += len(view)

    def finish(self) -> None:
        """All has come."""
        if self._offset != self._size:
            raise self._fault(f"is cut off after {self._offset} of {self._size} bytes")
        self._check_entries(bytes(self._lookup_table))
        if self._integrity.size:
            self._check_digests(bytes(self._integrity_table))

    def _part_of(self, view: memoryview, resource: _Resource) -> memoryview:
        """What of the next bytes is the resource's."""
        low, high = resource.start - self._offset, resource.end - self._offset
        return view[max(0, low) : max(0, high)]

    def _read_header(self) -> None:
        (magic, header_size, version, flags, _, _, self._part, nr_parts, self._nr_images,
         lookup, xml, boot, boot_index, integrity) = _HEADER.unpack(self._header)  # fmt: skip
        if magic != MAGIC:
            raise self._fault("is no wim: it does not begin with MSWIM")
        if header_size != HEADER_SIZE:
            raise self._fault(f"is no wim: its header says that it has {header_size} bytes")
        if version == _SOLID_VERSION:
            raise self._fault("is a solid wim (ESD), which Windows' boot manager does not read")
        if version != _VERSION:
            raise self._fault(f"is a wim of version {version:#x}, not {_VERSION:#x}")
        if flags & _WRITE_IN_PROGRESS:
            raise self._fault("is not finished: whoever writes it has not ended")
        if (self._part, nr_parts) != (1, 1):
            raise self._fault(f"is part {self._part} of {nr_parts} of a split wim")
        if not 1 <= boot_index <= self._nr_images:
            raise self._fault(
                f"has no image to boot: {boot_index} of {self._nr_images} is marked bootable"
            )
        named = {"lookup table": lookup, "XML data": xml, "boot image": boot,
                 "integrity table": integrity}  # fmt: skip
        found = {what: _resource(data) for what, data in named.items()}
        for what, resource in found.items():
            self._check_place(what, resource, required=what != "integrity table")
        self._lookup, self._integrity = found["lookup table"], found["integrity table"]
        if self._lookup.flags & _COMPRESSED or self._lookup.size % _ENTRY.size:
            raise self._fault(f"has a lookup table of {self._lookup.size} bytes, which is none")
        for resource in (self._lookup, self._integrity):
            if resource.size > _TABLE_MAX:
                raise self._fault(f"has a table of {resource.size} bytes at {resource.start:#x}")

    def _check_place(self, what: str, resource: _Resource, required: bool) -> None:
        if not resource.size:
            if required:
                raise self._fault(f"has no {what}")
            return
        if resource.start < HEADER_SIZE:
            raise self._fault(f"has its {what} at {resource.start:#x}, in its header")
        if resource.end > self._size:
            raise self._fault(
                f"is cut off: its {what} ends at {resource.end}, the file at {self._size}"
            )

    def _check_entries(self, table: bytes) -> None:
        nr_images = 0
        for offset in range(0, len(table), _ENTRY.size):
            data, part = _ENTRY.unpack_from(table, offset)
            resource = _resource(data)
            if resource.flags & _FREE:
                continue
            at = f"resource of entry {offset // _ENTRY.size}"
            if part != self._part:
                raise self._fault(f"has the {at} in part {part} of a split wim")
            self._check_place(at, resource, required=False)
            nr_images += bool(resource.flags & _METADATA)
        if nr_images != self._nr_images:
            raise self._fault(f"has {nr_images} images, and its header says {self._nr_images}")

    def _digest(self, view: memoryview) -> None:
        """Take what the integrity table is about: from behind the header to the lookup table's
        end.
        """
        at = self._offset - HEADER_SIZE
        while view:
            room = CHUNK_SIZE - at % CHUNK_SIZE
            self._chunk.update(view[:room])
            at += len(view[:room])
            view = view[room:]
            if at % CHUNK_SIZE == 0 or at == self._lookup.end - HEADER_SIZE:
                self._chunks.append(self._chunk.digest())
                self._chunk = hashlib.sha1(usedforsecurity=False)

    def _check_digests(self, table: bytes) -> None:
        nr_chunks, chunk_size = 0, 0
        if len(table) >= _INTEGRITY.size:
            _, nr_chunks, chunk_size = _INTEGRITY.unpack_from(table)
        if len(table) != _INTEGRITY.size + nr_chunks * _SHA1_SIZE or not chunk_size:
            raise self._fault(f"has an integrity table of {len(table)} bytes, which is none")
        if chunk_size != CHUNK_SIZE:
            return
        wanted = [
            table[at : at + _SHA1_SIZE] for at in range(_INTEGRITY.size, len(table), _SHA1_SIZE)
        ]
        if len(wanted) != len(self._chunks):
            raise self._fault(f"has {len(wanted)} digests of {len(self._chunks)} chunks")
        for number, pair in enumerate(zip(wanted, self._chunks, strict=True)):
            if pair[0] != pair[1]:
                start = HEADER_SIZE + number * CHUNK_SIZE
                end = min(start + CHUNK_SIZE, self._lookup.end)
                raise self._fault(
                    f"is damaged: bytes [{start:#x}, {end:#x}) are not those of its integrity table"
                )

    def _fault(self, fault: str) -> FormatError:
        return FormatError(f"{self._source}: {fault}")
