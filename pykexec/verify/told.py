# SPDX-License-Identifier: Apache-2.0
"""What an event log tells, kept for when it comes again: most boots of a machine log the same.

All of it follows from the log's bytes, the bank and the registers, so these are what it is known
by; nothing else of an attestation is kept. Only of logs that explain their registers, of so many
bytes in all, and as bytes: nobody who is given claims can change those of the next one.
"""

from __future__ import annotations

import marshal
import threading
from collections.abc import Mapping
from dataclasses import astuple, dataclass

from pykexec.attest.protocol import digest_of
from pykexec.attest.verdict import Finding
from pykexec.errors import FormatError
from pykexec.verify.claims import event_claims
from pykexec.verify.log import ProvenLog, check_log
from pykexec.verify.report import Report
from pykexec.verify.secure_boot import SECURE_BOOT_PCR, secure_boot_claims
from pykexec.verify.shim import with_shim

KEPT_MAX = 16 << 20
"""Bytes of a process: what some thousand machines tell."""
ONE_MAX = 128 << 10


@dataclass(frozen=True, slots=True)
class Told:
    """Claims (JSON-able), findings about the log itself, and notes about what it says."""

    claims: dict[str, object]
    findings: tuple[Finding, ...]
    notes: tuple[Finding, ...]


def told_by(data: bytes, bank: str, pcrs: Mapping[int, bytes]) -> Told:
    """What a log tells that has to explain each register of pcrs, and whether it does."""
    values = (part for number in sorted(pcrs) for part in (b"%d" % number, pcrs[number]))
    key = digest_of(data, bank.encode(), *values)
    if (known := _KEPT.get(key)) is None:
        told = _read(data, bank, pcrs)
        if all(not finding.refuses for finding in told.findings):
            _KEPT.put(key, _packed(told))
        return told
    return _unpacked(known)


def forget_all() -> None:
    """As a process that has just begun."""
    _KEPT.clear()


def kept_size() -> int:
    """Bytes that are kept."""
    return _KEPT.size


def _read(data: bytes, bank: str, pcrs: Mapping[int, bytes]) -> Told:
    report, notes = Report(), Report()
    log = check_log(data, bank, pcrs, report)
    claims = _log_claims(log, notes)
    return Told(claims, report.verdict.findings, notes.verdict.findings)


def _log_claims(log: ProvenLog, report: Report) -> dict[str, object]:
    claims = event_claims(log)
    if log.of(SECURE_BOOT_PCR):
        try:
            claims["secure_boot"] = with_shim(secure_boot_claims(log), log)
        except FormatError as error:
            report.note("log.secure-boot", f"nothing can be said of Secure Boot: {error}")
    return claims


def _packed(told: Told) -> bytes:
    lists = ([astuple(each) for each in found] for found in (told.findings, told.notes))
    return marshal.dumps((told.claims, *lists))


def _unpacked(data: bytes) -> Told:
    claims, *lists = marshal.loads(data)
    findings, notes = (tuple(Finding(*each) for each in found) for found in lists)
    return Told(claims, findings, notes)


class _Kept:
    """What was used last stays; for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[bytes, bytes] = {}
        self.size = 0

    def get(self, key: bytes) -> bytes | None:
        with self._lock:
            value = self._values.pop(key, None)
            if value is not None:
                self._values[key] = value
            return value

    def put(self, key: bytes, value: bytes) -> None:
        if len(value) > ONE_MAX:
            return
        with self._lock:
            self.size += len(value) - len(self._values.pop(key, b""))
            self._values[key] = value
            while self.size > KEPT_MAX:
                self.size -= len(self._values.pop(next(iter(self._values))))

    def clear(self) -> None:
        with self._lock:
            self._values.clear()
            self.size = 0


_KEPT = _Kept()
