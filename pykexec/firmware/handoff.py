# SPDX-License-Identifier: Apache-2.0
"""The handoff: what the resume image relies on, read, checked and shown."""

from __future__ import annotations

from dataclasses import dataclass

from pykexec._native import ffi, lib
from pykexec.abi import Component, HandoffFault, Limit, Op, Stage, Struct
from pykexec.errors import FormatError
from pykexec.firmware.info import Outcome, decode_outcome
from pykexec.firmware.mailbox import Mailbox, Request
from pykexec.firmware.wire import enum_word, unpack
from pykexec.log import marker
from pykexec.memory import Range


@dataclass(frozen=True, slots=True)
class TraceEntry:
    """One stage that the stub, the resume image or a payload went through."""

    sequence: int
    component: str
    stage: str
    tsc: int
    status: int

    def __str__(self) -> str:
        return marker(self.component, self.stage, f"{self.status:#x}" if self.status else 0)


@dataclass(frozen=True, slots=True)
class Handoff:
    """struct pk_handoff; trace is oldest first, the TSC values are 0 until they are known."""

    resume_entry: int
    stub: Range
    arena: Range
    low: Range
    window: Range
    tsc_khz: int
    tsc_linux: int
    tsc_resume: int
    outcome: Outcome
    trace: tuple[TraceEntry, ...]


def handoff_fault(data: bytes, address: int = 0) -> str:
    """Why data is no sealed handoff, "" if it is; address 0 skips the test of where it lies."""
    fault = lib.pk_handoff_check(ffi.from_buffer(data), len(data), address)
    return "" if fault == HandoffFault.OK else enum_word(HandoffFault, fault).replace("-", " ")


def parse_handoff(data: bytes, source: str) -> Handoff:
    """Check and decode; FormatError names source and fault."""
    if fault := handoff_fault(data):
        raise FormatError(f"{source}: {fault}")
    raw = unpack("pk_handoff", data, 0, source)
    return Handoff(
        resume_entry=raw.resume_entry,
        stub=_range(raw.stub),
        arena=_range(raw.arena),
        low=_range(raw.low),
        window=_range(raw.window),
        tsc_khz=raw.tsc_khz,
        tsc_linux=raw.tsc_linux,
        tsc_resume=raw.tsc_resume,
        outcome=decode_outcome(raw.outcome),
        trace=_trace(raw),
    )


def _range(raw: Struct) -> Range:
    return Range(raw.start, raw.start + raw.size)


def _trace(raw: Struct) -> tuple[TraceEntry, ...]:
    newest = raw.nr_trace
    oldest = max(0, newest - Limit.TRACE_MAX)
    entries = (raw.trace[i % Limit.TRACE_MAX] for i in range(oldest, newest))
    return tuple(
        TraceEntry(
            sequence=entry.sequence,
            component=enum_word(Component, entry.component),
            stage=enum_word(Stage, entry.stage).replace("-", "_"),  # as on the console
            tsc=entry.tsc,
            status=entry.status,
        )
        for entry in entries
    )


def read_handoff_bytes(mailbox: Mailbox) -> bytes:
    """The handoff as it lies in the stub."""
    return mailbox.ask(Request(Op.HANDOFF, "handoff"))


def read_handoff(mailbox: Mailbox) -> Handoff:
    """The handoff of this boot; FormatError if it is damaged."""
    return parse_handoff(read_handoff_bytes(mailbox), "handoff")
