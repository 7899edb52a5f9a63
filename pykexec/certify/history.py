# SPDX-License-Identifier: Apache-2.0
"""What a journal says: which steps have an end, and what became of the one that has none."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pykexec.certify.journal import Record
from pykexec.certify.plan import CRASHED, FAILED, HUNG, OUTCOMES, TRIPS, Facts, Result
from pykexec.firmware.info import Outcome
from pykexec.firmware.status import status_name

START, BEGIN, TRIP, DONE, END = "start", "begin", "trip", "done", "end"
"""Kinds of records: of the machine; of a step; of a round trip; of a step; of the report."""


@dataclass(frozen=True, slots=True)
class Life:
    """Which Linux this is: boot_id of its kernel, nr_runs as the stub counts since its start."""

    boot_id: str
    outcome: Outcome

    @property
    def nr_runs(self) -> int:
        """0 when the machine has just been started."""
        return self.outcome.nr_runs


def start_record(machine: str, salt: bytes, more: Record) -> Record:
    """The first record. machine is known again by a digest, as the salt is in the journal alone."""
    return {"kind": START, "salt": salt.hex(), "machine": _known_as(machine, salt), **more}


def _known_as(machine: str, salt: bytes) -> str:
    return hmac.digest(salt, machine.encode(), "sha256").hex()


def salt_of(records: Sequence[Record]) -> bytes:
    """That of the first record; b"" where there is none."""
    try:
        return bytes.fromhex(str(records[0]["salt"]))
    except (IndexError, KeyError, ValueError):
        return b""


def is_of(records: Sequence[Record], machine: str) -> bool:
    """Was it written by this machine?"""
    salt = salt_of(records)
    return bool(salt) and records[0].get("machine") == _known_as(machine, salt)


def is_finished(records: Iterable[Record]) -> bool:
    """Have all steps been gone through?"""
    return any(record.get("kind") == END for record in records)


def results(records: Iterable[Record]) -> dict[str, Result]:
    """What came of each step that has an end; a later record counts."""
    found: dict[str, Result] = {}
    for record in records:
        if record.get("kind") == DONE:
            found[str(record.get("step"))] = decode_result(record)
    return found


def decode_result(record: Record) -> Result:
    """A record, or a step of a report, as a value; what makes no sense is left out."""
    outcome, seconds, facts = (record.get(key) for key in ("outcome", "seconds", "facts"))
    return Result(
        str(outcome) if outcome in OUTCOMES else FAILED,
        str(record.get("reason", "")),
        float(seconds) if isinstance(seconds, int | float) else 0.0,
        facts if isinstance(facts, dict) else {},
    )


def done_record(step: str, result: Result, facts: Facts) -> Record:
    """The record of a step's end, with these facts."""
    return {
        "kind": DONE,
        "step": step,
        "outcome": result.outcome,
        "reason": result.reason,
        "seconds": round(result.seconds, 3),
        "facts": facts,
    }


def begin_record(step: str, life: Life, trip: int = 0) -> Record:
    """The record that is on the stick before the step runs."""
    return {"kind": BEGIN, "step": step, "boot": life.boot_id, "runs": life.nr_runs, "trip": trip}


def trips(records: Iterable[Record]) -> list[Facts]:
    """What is known of each round trip that came back."""
    found = []
    for record in records:
        facts = record.get("facts")
        if record.get("kind") == TRIP and isinstance(facts, dict):
            found.append(facts)
    return found


def open_step(records: Sequence[Record]) -> Record | None:
    """The record of the step that was begun and has no end."""
    last = None
    for record in records:
        kind = record.get("kind")
        if kind == BEGIN:
            last = record
        elif kind in (DONE, TRIP):
            last = None
    return last


def judge(begun: Record, life: Life) -> Result | None:
    """What became of a step that has no end; None for a round trip that came back as it should."""
    step, runs, trip = str(begun.get("step")), begun.get("runs"), begun.get("trip")
    where = f"round trip {trip}: " if step == TRIPS else ""
    if begun.get("boot") == life.boot_id:
        return Result(CRASHED, f"{where}the agent ended, and was started again")
    if not isinstance(runs, int) or life.nr_runs <= runs:
        return Result(HUNG, f"{where}the machine was started anew")
    outcome = life.outcome
    came_back = life.nr_runs == runs + 1 and outcome.stage == "returned"
    if step != TRIPS:
        return Result(CRASHED, f"Linux ended: {outcome}")
    if not came_back:
        return Result(CRASHED, f"{where}Linux ended without the application: {outcome}")
    if outcome.status:
        return Result(FAILED, f"{where}the application returned {status_name(outcome.status)}")
    return None


def machine_name(words: Iterable[str]) -> str:
    """One text for what tells this machine from others."""
    return hashlib.sha256("\0".join(words).encode()).hexdigest()
