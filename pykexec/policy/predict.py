# SPDX-License-Identifier: Apache-2.0
"""Which values the next boot will have after an update, from the log of a boot before it.

The log is replayed with the digests of those events changed that the update changes. This is as
good as the firmware is regular: a digest that is not that of the event's data is an error, since
nobody could say what the new one will be.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from pykexec.attest.protocol import CONFIG_PCR
from pykexec.efi.guid import GUID_SIZE
from pykexec.efi.signature_list import appended
from pykexec.errors import FormatError, UsageError
from pykexec.firmware.description import parse_description
from pykexec.policy.firmware import DRIVERS_PCR
from pykexec.tpm.event_data import UefiVariable, parse_variable
from pykexec.tpm.event_text import type_name
from pykexec.tpm.eventlog import Event, EventLog, replay, unlogged_start
from pykexec.verify.promises import NUMBERS
from pykexec.verify.signatures import parse_signatures

_SIZE_OFFSET = 24  # of DataLength in UEFI_VARIABLE_DATA
_VARIABLE_TYPE, _VERSION_TYPE = "EV_EFI_VARIABLE_DRIVER_CONFIG", "EV_S_CRTM_VERSION"
_TAG_TYPE, _DRIVER_TYPE = "EV_EVENT_TAG", "EV_EFI_BOOT_SERVICES_DRIVER"
_APPLICATION_TYPE, _AUTHORITY_TYPE = "EV_EFI_BOOT_SERVICES_APPLICATION", "EV_EFI_VARIABLE_AUTHORITY"


@dataclass(frozen=True, slots=True)
class Changes:
    """What an update changes.

    written and appended are new contents of Secure Boot variables, signature lists without
    authentication. version is the firmware's. application is the new Authenticode digest of the
    application started last, description what that image has logged of itself (image.measure).
    digests are new ones for old ones, of firmware blobs, drivers or other applications; pcrs are
    known from elsewhere. drivers are those that a new agent.toml adds behind all that the log has,
    the Authenticode digest of each by bank.
    """

    written: Mapping[str, bytes] = field(default_factory=dict)
    appended: Mapping[str, bytes] = field(default_factory=dict)
    version: str = ""
    application: bytes = b""
    description: bytes = b""
    digests: Mapping[bytes, bytes] = field(default_factory=dict)
    pcrs: Mapping[int, bytes] = field(default_factory=dict)
    drivers: tuple[Mapping[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class PredictedVariable:
    """A variable after the update: SHA-256 of its content, of its certificates, its hashes."""

    sha256: str
    certificates: tuple[str, ...]
    hashes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What will differ: registers of one bank, variables, the version; notes are for people."""

    bank: str
    pcrs: Mapping[int, str]
    variables: Mapping[str, PredictedVariable]
    version: str
    notes: tuple[str, ...]


def predict(
    log: EventLog, bank: str, registers: Mapping[int, bytes], changes: Changes
) -> Prediction:
    """The registers after changes, from a log that explains these registers.

    FormatError where the log does not explain them or does not hash as specified; UsageError for
    a change of what the log does not have.
    """
    start = unlogged_start(log, bank, registers[0]) if 0 in registers else None
    before = replay(log, bank, start)
    for pcr, value in before.items():
        if registers.get(pcr, value) != value:
            raise FormatError(f"the event log does not explain PCR {pcr}")
    size = hashlib.new(bank).digest_size
    for pcr, value in changes.pcrs.items():
        if len(value) != size:
            raise UsageError(f"PCR {pcr}: {len(value)} bytes are no {bank}")
    work = _Work(list(log.events), bank)
    for name, content in changes.written.items():
        work.write(name, content)
    for name, content in changes.appended.items():
        work.append(name, content)
    if changes.version:
        work.set_version(changes.version)
    if changes.application:
        work.set_application(changes.application, changes.description)
    for old, new in changes.digests.items():
        work.set_digest(old, new)
    for driver in changes.drivers:
        work.add_driver(driver[bank])
    after = replay(EventLog(log.banks, tuple(work.events)), bank, start)
    changed = {pcr: after[pcr].hex() for pcr in after if after[pcr] != before[pcr]}
    changed |= {pcr: value.hex() for pcr, value in changes.pcrs.items()}
    return Prediction(
        bank, dict(sorted(changed.items())), work.variables, changes.version, tuple(work.notes)
    )


class _Work:
    """Events on their way from the old boot to the new one."""

    def __init__(self, events: list[Event], bank: str) -> None:
        self.events, self.bank = events, bank
        self.variables: dict[str, PredictedVariable] = {}
        self.notes: list[str] = []

    def _find(self, type_: str) -> list[int]:
        return [n for n, event in enumerate(self.events) if type_name(event.type) == type_]

    def _replace(self, number: int, data: bytes, digest: bytes) -> None:
        event = self.events[number]
        digests = {**event.digests, self.bank: digest}
        self.events[number] = replace(event, data=data, digests=digests)

    def _rehash(self, number: int, data: bytes) -> None:
        """New data for an event whose digest is that of its data."""
        event = self.events[number]
        if event.digests[self.bank] != hashlib.new(self.bank, event.data).digest():
            raise FormatError(
                f"event log: offset {event.offset}: {type_name(event.type)}: the digest is not "
                "that of the event's data, so the new one cannot be predicted"
            )
        self._replace(number, data, hashlib.new(self.bank, data).digest())

    def _variables(self, type_: str) -> Iterator[tuple[int, UefiVariable]]:
        """Events that measured variables; what cannot be read is none of those that are meant."""
        for number in self._find(type_):
            try:
                yield number, parse_variable(self.events[number].data)
            except FormatError:
                continue

    def _named(self, name: str) -> list[tuple[int, bytes]]:
        """Events that measured this variable, and its content."""
        found = [(n, v.data) for n, v in self._variables(_VARIABLE_TYPE) if v.name == name]
        if not found:
            raise UsageError(f"{name}: the log has no such variable")
        return found

    def write(self, name: str, content: bytes) -> None:
        signatures = parse_signatures(content)
        for number, old in self._named(name):
            data = self.events[number].data
            head = data[: len(data) - len(old)]
            size = struct.pack("<Q", len(content))
            self._rehash(number, head[:_SIZE_OFFSET] + size + head[_SIZE_OFFSET + 8 :] + content)
        digest = hashlib.sha256(content).hexdigest()
        self.variables[name] = PredictedVariable(
            digest, tuple(found.sha256 for found in signatures.certificates), signatures.hashes
        )
        if name == "db":
            self._note_authorities(content)

    def append(self, name: str, content: bytes) -> None:
        (_, old), *_ = self._named(name)
        new = appended(old, content, name)
        if new == old:
            self.notes.append(f"{name} has all of that already")
        self.write(name, new)

    def _note_authorities(self, content: bytes) -> None:
        for _, authority in self._variables(_AUTHORITY_TYPE):
            if authority.name == "db" and authority.data not in content:
                digest = hashlib.sha256(authority.data[GUID_SIZE:]).hexdigest()
                self.notes.append(
                    f"db loses what vouched for an image of this boot ({digest}): "
                    "it may not be started"
                )

    def set_version(self, version: str) -> None:
        numbers = self._find(_VERSION_TYPE)
        if not numbers:
            raise UsageError("the log has no version of the firmware")
        for number in numbers:
            self._rehash(number, _like(self.events[number].data, version))

    def set_application(self, digest: bytes, description: bytes) -> None:
        numbers = self._find(_APPLICATION_TYPE)
        if not numbers:
            raise UsageError("the log has no application that was started")
        last = numbers[-1]
        self._replace(last, self.events[last].data, digest)
        old = [n for n in self._find(_TAG_TYPE) if n > last and _is_description(self.events[n])]
        for number in reversed(old):
            del self.events[number]
        if description:
            digests = {self.bank: hashlib.new(self.bank, description).digest()}
            event = replace(
                self.events[last],
                pcr=CONFIG_PCR,
                type=NUMBERS[_TAG_TYPE],
                digests=digests,
                data=description,
            )
            self.events.insert(old[0] if old else last + 1, event)

    def set_digest(self, old: bytes, new: bytes) -> None:
        numbers = [n for n, e in enumerate(self.events) if e.digests.get(self.bank) == old]
        if not numbers or len(old) != len(new):
            raise UsageError(f"{old.hex()}: the log has no event with this {self.bank}")
        for number in numbers:
            self._replace(number, self.events[number].data, new)

    def add_driver(self, digest: bytes) -> None:
        """Behind all others, as the agent has it loaded."""
        event = Event(0, DRIVERS_PCR, NUMBERS[_DRIVER_TYPE], {self.bank: digest}, b"")
        self.events.append(event)
        if self._find(_AUTHORITY_TYPE):
            self.notes.append(
                "a driver of another signer than what was started adds to PCR 7, too: not foreseen"
            )


def _is_description(event: Event) -> bool:
    try:
        return event.pcr == CONFIG_PCR and bool(parse_description(event.data))
    except FormatError:
        return False


def _like(old: bytes, text: str) -> bytes:
    """text encoded as old is: UCS-2 or ASCII, with or without NUL."""
    wide = len(old) >= 2 and not len(old) % 2 and not any(old[1::2])
    encoded = text.encode("utf-16-le" if wide else "ascii")
    nul = b"\0\0" if wide else b"\0"
    return encoded + nul if old.endswith(nul) else encoded
