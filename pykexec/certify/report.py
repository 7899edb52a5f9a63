# SPDX-License-Identifier: Apache-2.0
"""The report: what a journal comes to, as JSON that people and `replay` read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pykexec.certify import history
from pykexec.certify.journal import Record, parse_journal
from pykexec.certify.plan import ABSENT, FAILED, OK, OUTCOMES, PLAN, TRIPS, Facts, Result
from pykexec.errors import FormatError

FORMAT = "pykexec-machine"
VERSION = 1
REPORT_MAX = 64 << 20
NOT_RUN = "not run"
_START_FACTS = ("pykexec", "linux", "identifiers", "source")


@dataclass(frozen=True, slots=True)
class Entry:
    """A step by its name and what came of it."""

    name: str
    title: str
    result: Result


@dataclass(frozen=True, slots=True)
class Report:
    """A machine; complete unless it was cut off. about is who wrote it, and how."""

    complete: bool
    about: Facts
    entries: tuple[Entry, ...]

    def result(self, name: str) -> Result | None:
        """What came of a step, None where the report does not have it."""
        return next((entry.result for entry in self.entries if entry.name == name), None)

    @property
    def faults(self) -> tuple[Entry, ...]:
        """Steps that did not go well."""
        return tuple(each for each in self.entries if each.result.outcome not in (OK, ABSENT))


def from_journal(records: Sequence[Record]) -> Report:
    """The report of what is known so far; the step that has no end is said to have none."""
    first = records[0] if records else {}
    results = history.results(records)
    begun = history.open_step(records)
    if begun is not None:
        name, runs = str(begun.get("step")), history.trips(records)
        facts: Facts = {"trips": runs} if name == TRIPS else {}
        results[name] = Result(
            FAILED, "was begun and has no end: the machine may hang in it", 0, facts
        )
    titles = {step.name: step.title for step in PLAN}
    order = [*titles, *(name for name in results if name not in titles)]
    return Report(
        history.is_finished(records),
        {key: first[key] for key in _START_FACTS if key in first},
        tuple(Entry(n, titles.get(n, n), results[n]) for n in order if n in results),
    )


def encode_report(report: Report) -> bytes:
    """JSON, a step's facts on a line each."""
    head = {"format": FORMAT, "version": VERSION, "complete": report.complete, **report.about}
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    steps = [_step_lines(entry) for entry in report.entries]
    lines.append('  "steps": [\n' + ",\n".join(steps) + "\n  ]")
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def _step_lines(entry: Entry) -> str:
    result = entry.result
    head = {
        "name": entry.name,
        "outcome": result.outcome,
        "reason": result.reason,
        "seconds": round(result.seconds, 3),
    }
    lines = [f"      {json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    facts = [f"        {json.dumps(k)}: {json.dumps(v)}" for k, v in result.facts.items()]
    lines.append('      "facts": {' + ("\n" + ",\n".join(facts) + "\n      }" if facts else "}"))
    return "    {\n" + ",\n".join(lines) + "\n    }"


def read_report(data: bytes, source: str) -> Report:
    """A report, or the journal of one that was cut off; FormatError, which names source."""
    records, _ = parse_journal(data)
    if records:
        return from_journal(records)
    return _decode(data, source)


def _decode(data: bytes, source: str) -> Report:
    if len(data) > REPORT_MAX:
        raise FormatError(f"{source}: {len(data)} bytes are no report")
    if not data.strip():
        raise FormatError(f"{source}: is empty: no step has been begun")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{source}: neither a report nor a journal: {error}") from None
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise FormatError(f'{source}: not a report: "format" is not {FORMAT}')
    if value.get("version") != VERSION:
        raise FormatError(f"{source}: version {value.get('version')}, not {VERSION}")
    steps = value.get("steps")
    if not isinstance(steps, list):
        raise FormatError(f"{source}: steps: not a list")
    return Report(
        value.get("complete") is True,
        {key: value[key] for key in _START_FACTS if key in value},
        tuple(_entries(steps, source)),
    )


def _entries(steps: Sequence[object], source: str) -> Iterable[Entry]:
    titles = {step.name: step.title for step in PLAN}
    for number, step in enumerate(steps):
        name = step.get("name") if isinstance(step, dict) else None
        if not isinstance(step, dict) or not isinstance(name, str):
            raise FormatError(f"{source}: step {number}: has no name")
        if step.get("outcome") not in OUTCOMES:
            raise FormatError(f"{source}: {name}: outcome {step.get('outcome')!r}")
        if not isinstance(step.get("facts", {}), dict):
            raise FormatError(f"{source}: {name}: facts: not an object")
        yield Entry(name, titles.get(name, name), history.decode_result(step))


def without_facts(report: Report) -> Report:
    """The outcomes alone: what fits where nothing else does."""
    bare = (replace(each, result=replace(each.result, facts={})) for each in report.entries)
    return replace(report, entries=tuple(bare))
