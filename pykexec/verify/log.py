# SPDX-License-Identifier: Apache-2.0
"""Event logs against the quoted registers: what a log tells counts only if it explains them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from pykexec.errors import FormatError
from pykexec.tpm.eventlog import Event, EventLog, parse_event_log, replay, unlogged_start
from pykexec.verify.events import event_title, fault, measured
from pykexec.verify.report import Report

EVENTS_MAX = 4096
"""More than any firmware logs; what is beyond it is not looked at."""

_FIRMWARE_PCRS = range(8)
# Set to ones at reset, and changed by D-RTM alone (PC Client Platform TPM Profile 1.05, 4.6.2).
_DYNAMIC_PCRS = range(17, 23)


@dataclass(frozen=True, slots=True)
class Entry:
    """An event that a quoted register vouches for; measured are the bytes that its digest is of,
    None where its data does not tell them: then it is somebody's word, no more.
    """

    index: int
    event: Event
    measured: bytes | None

    @property
    def title(self) -> str:
        """The event for people."""
        return event_title(self.index, self.event)


@dataclass(frozen=True, slots=True)
class ProvenLog:
    """The events by PCR, in order, of those registers whose value they explain."""

    bank: str
    entries: Mapping[int, tuple[Entry, ...]] = field(default_factory=dict)

    def of(self, pcr: int) -> tuple[Entry, ...]:
        """Events of one register."""
        return self.entries.get(pcr, ())

    @property
    def count(self) -> int:
        """All of them."""
        return sum(map(len, self.entries.values()))


def check_firmware_pcrs(bank: str, pcrs: Mapping[int, bytes], report: Report) -> None:
    """The firmware has measured into its registers, at least what separates it from what follows
    (PC Client Platform Firmware Profile 1.05, 3.3.2): zeros are of a TPM that nobody has told
    anything, ones of one that was not started.
    """
    size = hashlib.new(bank).digest_size
    for number in _FIRMWARE_PCRS:
        if number in pcrs and pcrs[number] in (bytes(size), b"\xff" * size):
            ones = "ones" if pcrs[number][0] else "zeros"
            report.refuse(f"pcr.empty.{number}", f"PCR {number} is all {ones}: nothing measured it")


def check_log(data: bytes, bank: str, pcrs: Mapping[int, bytes], report: Report) -> ProvenLog:
    """The log is one, explains each register of pcrs, and says of no event what cannot be."""
    try:
        log = parse_event_log(data, EVENTS_MAX)
        if bank not in log.banks:
            known = ", ".join(log.banks) or "none"
            report.refuse("log.bank", f"the log has no digests of {bank}; it has: {known}")
            return ProvenLog(bank)
        registers = _replay(log, bank, pcrs, report)
    except FormatError as error:
        report.refuse("log.format", str(error))
        return ProvenLog(bank)
    proven = _explained(registers, bank, pcrs, report)
    return ProvenLog(bank, _entries(log, bank, proven, report))


def _replay(
    log: EventLog, bank: str, pcrs: Mapping[int, bytes], report: Report
) -> Mapping[int, bytes]:
    """The registers by the log, and by where PCR 0 began."""
    registers = replay(log, bank)
    if 0 not in pcrs or registers.get(0, pcrs[0]) == pcrs[0]:
        return registers
    start = unlogged_start(log, bank, pcrs[0])
    if start is None:
        return registers
    text = f"PCR 0 began at locality {start}, which is not what the log says of it"
    report.note("log.locality", text)
    return replay(log, bank, start)


def _explained(
    registers: Mapping[int, bytes], bank: str, pcrs: Mapping[int, bytes], report: Report
) -> set[int]:
    proven = set()
    size = hashlib.new(bank).digest_size
    for number, value in sorted(pcrs.items()):
        initial = (b"\xff" if number in _DYNAMIC_PCRS else b"\0") * size
        if registers.get(number, initial) == value:
            proven.add(number)
        else:
            text = "by the log it is" if number in registers else "the log has no event of it,"
            found = registers.get(number, initial).hex()
            report.refuse(f"log.replay.{number}", f"PCR {number} is {value.hex()}, {text} {found}")
    return proven


def _entries(
    log: EventLog, bank: str, proven: set[int], report: Report
) -> dict[int, tuple[Entry, ...]]:
    found: dict[int, list[Entry]] = {number: [] for number in proven}
    for index, event in enumerate(log.events):
        if not event.extends or event.pcr not in proven:
            continue
        entry = Entry(index, event, measured(event, bank))
        if (text := fault(event, bank, entry.measured)) is not None:
            report.refuse("log.event", f"{entry.title}: {text}")
        found[event.pcr].append(entry)
    return {number: tuple(entries) for number, entries in found.items()}
