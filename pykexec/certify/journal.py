# SPDX-License-Identifier: Apache-2.0
"""The journal: what was begun and what came of it, each a line that is on the stick before the next
thing happens.

A line is the CRC-32 of a JSON object and the object. What lies behind the last whole line was cut
off, by a hang or a reset, and counts for nothing. The file keeps its size: what is not used yet is
newlines, so that no directory and no table of the volume ever changes.
"""

from __future__ import annotations

import errno
import json
from typing import Protocol

from pykexec._native import lib
from pykexec.errors import FirmwareError

Record = dict[str, object]

FILL = b"\n"
_CHECKSUM_DIGITS = 8
_HEAD = _CHECKSUM_DIGITS + 1


class Area(Protocol):
    """So many bytes that outlive the machine's next reset."""

    size: int

    def read(self) -> bytes:
        """All of them."""

    def write(self, offset: int, data: bytes) -> None:
        """Have data at offset, on the medium when this comes back; OSError if it cannot be."""


class MemoryArea:
    """An area of a machine that has no stick, or one that cannot be written: nothing is kept."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._data = bytearray(FILL * size)

    def read(self) -> bytes:
        """All bytes."""
        return bytes(self._data)

    def write(self, offset: int, data: bytes) -> None:
        """Have data at offset."""
        self._data[offset : offset + len(data)] = data


def parse_journal(data: bytes) -> tuple[list[Record], int]:
    """The records up to the first line that is none, and how many bytes they have."""
    records: list[Record] = []
    end = 0
    while True:
        stop = data.find(FILL, end)
        # What copied it may have taken the last line's end away.
        stop = len(data) if stop < 0 else stop
        record = _record(data[end:stop])
        if record is None:
            return records, end
        records.append(record)
        end = min(stop + 1, len(data))


def _record(line: bytes) -> Record | None:
    text = line[_HEAD:]
    if line[:_HEAD] != _checksum(text) + b" ":
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _checksum(text: bytes) -> bytes:
    return b"%08x" % lib.pk_crc32(0, text, len(text))


def encode_record(record: Record) -> bytes:
    """Its line."""
    text = json.dumps(record, separators=(",", ":"), ensure_ascii=True).encode()
    return _checksum(text) + b" " + text + FILL


class Journal:
    """The records of an area, and more of them."""

    def __init__(self, area: Area) -> None:
        self._area = area
        data = area.read()
        self.records, self._end = parse_journal(data)
        torn = len(data[self._end :].rstrip(FILL))
        if torn:  # Else its rest would stand behind a shorter line.
            area.write(self._end, FILL * torn)

    def append(self, record: Record) -> None:
        """Add a record; FirmwareError (ENOSPC) if there is no room, and what is there stays."""
        line = encode_record(record)
        if self._end + len(line) >= self._area.size:
            fault = f"{len(line)} bytes more do not fit into {self._area.size}"
            raise FirmwareError(errno.ENOSPC, fault, "journal")
        self._area.write(self._end, line)
        self._end += len(line)
        self.records.append(record)
