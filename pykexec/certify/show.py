# SPDX-License-Identifier: Apache-2.0
"""A report in words: what works, what does not, and what follows from that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pykexec.certify.plan import ABSENT, OK, OUTCOMES, PLAN, TRIPS
from pykexec.certify.report import Entry, Report
from pykexec.log import printable

_LIST_MAX = 12
_BULK = frozenset(("map", "handles", "variables", "state", "log", "tables", "pcrs", "trips"))
"""What `replay` is for, and nobody wants to read."""
_TEXT_MAX = 160


def report_lines(report: Report, *, facts: bool = True) -> Iterator[str]:
    """All of `certify show`: nothing that a report says reaches a terminal as it is."""
    yield from map(printable, _report_lines(report, facts))


def _report_lines(report: Report, facts: bool) -> Iterator[str]:
    yield machine_line(report)
    for key, value in report.about.items():
        yield f"{key}: {_text(value)}"
    yield "all steps were gone through" if report.complete else "cut off: not all steps were run"
    meanings = {step.name: step.meaning for step in PLAN}
    for entry in report.entries:
        yield ""
        yield f"{entry.title}: {OUTCOMES[entry.result.outcome]}"
        if entry.result.reason:
            yield f"  {entry.result.reason}"
        if entry.result.outcome not in (OK, ABSENT) and entry.name in meanings:
            yield f"  that means: {meanings[entry.name]}"
        if facts:
            yield from fact_lines(entry)
    yield ""
    yield verdict(report)


def verdict(report: Report) -> str:
    """The last line: one sentence."""
    if report.faults:
        named = ", ".join(each.name for each in report.faults)
        return printable(
            f"{len(report.faults)} of {len(report.entries)} steps have a fault: {named}"
        )
    return f"no step of {len(report.entries)} has a fault"


def machine_line(report: Report) -> str:
    """What machine it is, as far as it says."""
    result = report.result("firmware")
    facts = result.facts if result else {}
    smbios = facts.get("smbios")
    named = smbios if isinstance(smbios, Mapping) else {}
    words = (named.get("sys_vendor"), named.get("product_name"), facts.get("vendor"))
    return " / ".join(printable(str(word)) for word in words if word) or "a machine without a name"


def fact_lines(entry: Entry) -> Iterator[str]:
    """Its facts but for the bulk."""
    for name, value in entry.result.facts.items():
        if entry.name == TRIPS and name == "trips" and isinstance(value, list):
            yield from _trips(value)
        elif name not in _BULK:
            yield from _fact(name, value, "  ")


def _trips(rows: list[object]) -> Iterator[str]:
    yield f"  came back: {len(rows)}"
    names = dict.fromkeys(name for row in rows if isinstance(row, Mapping) for name in row)
    for name in names:
        found = [row[name] for row in rows if isinstance(row, Mapping) and name in row]
        times = sorted(value for value in found if isinstance(value, int | float))
        if times:
            yield f"  {name}: {times[0]} to {times[-1]}, median {times[len(times) // 2]}"


def _fact(name: str, value: object, margin: str) -> Iterator[str]:
    name = printable(name.replace("_", " "))
    if isinstance(value, Mapping):
        yield f"{margin}{name}:"
        for key, each in value.items():
            yield from _fact(str(key), each, f"{margin}  ")
    elif isinstance(value, list) and any(isinstance(each, Mapping) for each in value):
        yield f"{margin}{name}:"
        for each in value[:_LIST_MAX]:
            items = each.items() if isinstance(each, Mapping) else [("", each)]
            yield f"{margin}  {', '.join(f'{key} {_text(item)}' for key, item in items)}"
        if len(value) > _LIST_MAX:
            yield f"{margin}  ... and {len(value) - _LIST_MAX} more"
    else:
        yield f"{margin}{name}: {_text(value)}"


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{printable(str(k))} {_text(v)}" for k, v in value.items()) or "none"
    return printable(str(value), _TEXT_MAX)
