# SPDX-License-Identifier: Apache-2.0
"""TCG event logs: parsed from bytes that nobody vouches for, and replayed.

TCG PC Client Platform Firmware Profile 1.05, chapter 10: the crypto agile format and the one of
SHA-1. What the events mean is told by event_text.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import Any

from pykexec._native import lib
from pykexec.errors import FormatError
from pykexec.tpm.banks import NR_PCRS, bank_name, hash_of

NO_PCR = 0xFFFFFFFF  # 10.4.5.1: of EV_NO_ACTION events that belong to no register
EV_NO_ACTION = 3
_EV_EFI_HCRTM_EVENT = 0x80000010

_SHA1_ENTRY = struct.Struct("<II20sI")
_SPEC_ID = struct.Struct("<IBBBBI")
_ALGORITHM_SIZE = struct.Struct("<HH")
_AGILE_ENTRY = struct.Struct("<III")
_ALGORITHM = struct.Struct("<H")
_EVENT_SIZE = struct.Struct("<I")
_SIGNATURE_AGILE = b"Spec ID Event03\0"
_SIGNATURES_SHA1 = (b"Spec ID Event00\0", b"Spec ID Event02\0")
_SIGNATURE_SIZE = 16
_H_CRTM = 4
_STARTUP_LOCALITY = b"StartupLocality\0"
LOCALITIES = (0, 3, _H_CRTM)
"""What PCR 0 may begin at: localities of TPM2_Startup, or an H-CRTM's (TPM 2.0, Part 1, 12.2.3)."""
_PADDING = (b"\0", b"\xff")
_PADDING_MIN = 16  # bytes: no entry begins with as many of them, all the same
_ALGORITHMS_MAX = 16
_DIGEST_MAX = 64


class EventLogError(FormatError):
    """The bytes are no event log; offset says where."""

    def __init__(self, offset: int, fault: str, event: int | None = None) -> None:
        where = "" if event is None else f"event {event}: "
        super().__init__(f"event log: offset {offset}: {where}{fault}")
        self.offset, self.fault = offset, fault


@dataclass(frozen=True, slots=True)
class Event:
    """One entry: digests by bank ("sha256"), data as the firmware wrote it."""

    offset: int
    pcr: int
    type: int
    digests: dict[str, bytes]
    data: bytes

    @property
    def extends(self) -> bool:
        """Whether a register was extended by it."""
        return self.type != EV_NO_ACTION


@dataclass(frozen=True, slots=True)
class EventLog:
    """All entries in order, the specification ID event included; banks have digests in each."""

    banks: tuple[str, ...]
    events: tuple[Event, ...]


class _Cursor:
    """Reads forward; every fault names the offset in the whole log."""

    __slots__ = ("_data", "_end", "offset")

    def __init__(self, data: bytes, offset: int, end: int) -> None:
        self._data, self.offset, self._end = data, offset, end

    @property
    def at_end(self) -> bool:
        return self.offset == self._end

    def take(self, size: int, what: str) -> bytes:
        if size > self._end - self.offset:
            raise EventLogError(self.offset, f"{what} is cut off")
        self.offset += size
        return self._data[self.offset - size : self.offset]

    def numbers(self, layout: struct.Struct, what: str) -> tuple[int, ...]:
        return layout.unpack(self.take(layout.size, what))

    def peek(self, layout: struct.Struct) -> tuple[Any, ...] | None:
        """What comes next by a layout; None where it is cut off."""
        if layout.size > self._end - self.offset:
            return None
        return layout.unpack_from(self._data, self.offset)


def parse_event_log(data: bytes, events_max: int | None = None) -> EventLog:
    """Decode a whole log; EventLogError for anything that is not one, down to the last byte, and
    for one of more than events_max entries.
    """
    if len(data) > lib.PK_EVENT_LOG_MAX:
        raise EventLogError(0, f"{len(data)} bytes are too many")
    if not data:
        return EventLog((), ())
    cursor = _Cursor(data, 0, len(data))
    first = _sha1_event(cursor)
    agile = None
    if not first.extends and first.data[:_SIGNATURE_SIZE] == _SIGNATURE_AGILE:
        start = cursor.offset - len(first.data)
        agile = _Agile(_algorithms(_Cursor(data, start + _SIGNATURE_SIZE, cursor.offset)))
    events, padding = [first], _padding(data)
    while not cursor.at_end:
        if len(events) == events_max:
            raise EventLogError(cursor.offset, f"more than {events_max} entries")
        try:
            if cursor.offset >= padding:
                rest = f"{len(data) - cursor.offset} bytes of padding ({data[-1]:#04x})"
                raise EventLogError(cursor.offset, f"no entry, but {rest}")
            events.append(_sha1_event(cursor) if agile is None else agile.event(cursor))
        except EventLogError as error:
            raise EventLogError(error.offset, error.fault, len(events)) from None
    return EventLog(("sha1",) if agile is None else agile.banks, tuple(events))


def _padding(data: bytes) -> int:
    """Where nothing but padding follows: somebody took the whole area that a log lies in."""
    start = min(len(data.rstrip(fill)) for fill in _PADDING)
    return start if len(data) - start >= _PADDING_MIN else len(data)


def _event(
    cursor: _Cursor, start: int, head: tuple[int, int], digests: dict[str, bytes], size: int
) -> Event:
    pcr, type_ = head
    if pcr >= NR_PCRS and not (pcr == NO_PCR and type_ == EV_NO_ACTION):
        raise EventLogError(start, f"there is no PCR {pcr}")
    if size > lib.PK_EVENT_MAX:
        raise EventLogError(cursor.offset, f"event of {size} bytes")
    return Event(start, pcr, type_, digests, cursor.take(size, "event"))


def _sha1_event(cursor: _Cursor) -> Event:
    """TCG_PCClientPCREvent."""
    start = cursor.offset
    pcr, type_, digest, size = _SHA1_ENTRY.unpack(cursor.take(_SHA1_ENTRY.size, "entry"))
    return _event(cursor, start, (pcr, type_), {"sha1": digest}, size)


def _algorithms(cursor: _Cursor) -> dict[int, tuple[str, int]]:
    """TCG_EfiSpecIDEvent: bank and size of the digests by algorithm."""
    start = cursor.offset
    *_, count = cursor.numbers(_SPEC_ID, "specification ID event")
    if not 1 <= count <= _ALGORITHMS_MAX:
        raise EventLogError(start, f"{count} digest algorithms")
    sizes: dict[int, tuple[str, int]] = {}
    for _ in range(count):
        algorithm, size = cursor.numbers(_ALGORITHM_SIZE, "digest algorithm")
        if algorithm in sizes or not 1 <= size <= _DIGEST_MAX:
            raise EventLogError(cursor.offset, f"algorithm {bank_name(algorithm)}: {size} bytes")
        if (bank := bank_name(algorithm)) in hashlib.algorithms_guaranteed:
            expected = hashlib.new(bank).digest_size
            if size != expected:
                raise EventLogError(cursor.offset, f"{bank} of {size} bytes, not {expected}")
        sizes[algorithm] = bank, size
    return sizes


class _Agile:
    """Reads TCG_PCR_EVENT2; sizes are bank and size of the digests by algorithm."""

    def __init__(self, sizes: dict[int, tuple[str, int]]) -> None:
        self.banks = tuple(bank for bank, _ in sizes.values())
        self._sizes = sizes
        self._algorithms = tuple(sizes)
        digests = "".join(f"H{size}s" for _, size in sizes.values())
        self._whole = struct.Struct(f"<III{digests}I")

    def event(self, cursor: _Cursor) -> Event:
        """The next one. Firmware writes all digests in the order of the first event."""
        start = cursor.offset
        found = cursor.peek(self._whole)
        if found is None or found[2] != len(self._sizes) or found[3:-1:2] != self._algorithms:
            return self._unusual(cursor)
        cursor.offset += self._whole.size
        digests = dict(zip(self.banks, found[4:-1:2], strict=True))
        return _event(cursor, start, found[:2], digests, found[-1])

    def _unusual(self, cursor: _Cursor) -> Event:
        """One that lacks digests, has them in another order, or is none."""
        start = cursor.offset
        pcr, type_, count = cursor.numbers(_AGILE_ENTRY, "entry")
        if count > len(self._sizes):
            raise EventLogError(start, f"{count} digests")
        digests: dict[str, bytes] = {}
        for _ in range(count):
            (algorithm,) = cursor.numbers(_ALGORITHM, "digest")
            bank, size = self._sizes.get(algorithm) or ("", 0)
            if not bank or bank in digests:
                fault = f"digest of unknown or repeated kind {bank_name(algorithm)}"
                raise EventLogError(cursor.offset, fault)
            digests[bank] = cursor.take(size, "digest")
        (size,) = cursor.numbers(_EVENT_SIZE, "event")
        return _event(cursor, start, (pcr, type_), digests, size)


def replay(log: EventLog, bank: str, locality: int | None = None) -> dict[int, bytes]:
    """The registers of one bank that the log explains, by number.

    PCR 0 begins at locality, whatever the log says of it, unless that is None.

    FormatError for a bank that the log has not, or that this Python cannot compute.
    """
    if bank not in log.banks:
        raise FormatError(f"event log: no digests of {bank}, only of {', '.join(log.banks)}")
    hashed = hash_of(bank)
    try:
        size = hashed(b"").digest_size
    except ValueError:
        raise FormatError(f"event log: {bank} cannot be computed here") from None
    registers: dict[int, bytes] = {}
    if locality is not None:
        registers[0] = locality.to_bytes(size)
    zeros = bytes(size)
    for index, event in enumerate(log.events):
        if event.type == EV_NO_ACTION:
            if event.data[:-1] == _STARTUP_LOCALITY and not event.pcr and 0 not in registers:
                # TPM2_Startup at locality 3, or an H-CRTM's at 4, is PCR 0's first value.
                registers[0] = bytes(size - 1) + event.data[-1:]
            continue
        if bank not in event.digests:
            raise EventLogError(event.offset, f"no digest of {bank}", index)
        # An H-CRTM measures before TPM2_Startup, which PCR 0 starts at 4 for (TPM 2.0, Part 1).
        early = event.type == _EV_EFI_HCRTM_EVENT and not event.pcr
        old = registers.get(event.pcr, _H_CRTM.to_bytes(size) if early else zeros)
        registers[event.pcr] = hashed(old + event.digests[bank]).digest()
    return registers


def unlogged_start(log: EventLog, bank: str, value: bytes) -> int | None:
    """The locality that PCR 0 of this value began at, where the log says another and all else fits.

    There is firmware that does not log it. Nothing is lost by that: no such event extends anything,
    so the register alone proves where it began, and that only a TPM's start can have set it.
    """
    if replay(log, bank).get(0, value) == value:
        return None
    fits = (number for number in LOCALITIES if replay(log, bank, number)[0] == value)
    return next(fits, None)


def replayable_banks(log: EventLog) -> tuple[str, ...]:
    """Those banks of the log that replay() can compute here."""
    return tuple(bank for bank in log.banks if bank in hashlib.algorithms_available)
