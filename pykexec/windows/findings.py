# SPDX-License-Identifier: Apache-2.0
"""What a look at Windows comes to: lines, and whether it will start unattended."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """What a finding means for a boot that nobody watches."""

    FINE = "fine"
    NOTE = "note"
    FAULT = "fault"
    """Windows will not start, or asks somebody."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A fact: of which file, volume or machine, and what it means."""

    level: Level
    what: str
    text: str

    def __str__(self) -> str:
        return f"{self.what}: {self.text}"


def fine(what: str, text: str) -> Finding:
    """What is as it has to be."""
    return Finding(Level.FINE, what, text)


def note(what: str, text: str) -> Finding:
    """What one should know, and cannot be judged from here."""
    return Finding(Level.NOTE, what, text)


def fault(what: str, text: str) -> Finding:
    """What keeps Windows from starting unattended."""
    return Finding(Level.FAULT, what, text)


@dataclass(frozen=True, slots=True)
class Protection:
    """A protector for programs: GUID, kind, PCRs where the metadata tells, and the secret for it.

    secret is its source; proven says that it has opened the volume's master key.
    """

    identifier: str
    kind: str
    pcrs: tuple[int, ...] | None
    secret: str | None
    proven: bool


@dataclass(frozen=True, slots=True)
class VolumeReport:
    """A BitLocker volume for programs."""

    place: str
    identifier: str
    method: str
    state: str
    protectors: tuple[Protection, ...]


@dataclass(frozen=True, slots=True)
class EntryReport:
    """An entry of the boot configuration for programs."""

    identifier: str
    description: str
    device: str
    path: str


@dataclass(frozen=True, slots=True)
class Report:
    """All of it."""

    findings: tuple[Finding, ...]
    entries: tuple[EntryReport, ...]
    volumes: tuple[VolumeReport, ...]

    @property
    def faults(self) -> tuple[Finding, ...]:
        """What keeps Windows from starting unattended; none is the aim."""
        return tuple(each for each in self.findings if each.level is Level.FAULT)

    @property
    def summary(self) -> str:
        """One line."""
        if count := len(self.faults):
            reasons = "reason" if count == 1 else "reasons"
            return f"Windows will not start unattended: {count} {reasons}"
        return "nothing was found that keeps Windows from starting unattended"


def lines(findings: Iterable[Finding]) -> list[str]:
    """Each in a line, its level first."""
    return [f"{each.level:5} {each}" for each in findings]
