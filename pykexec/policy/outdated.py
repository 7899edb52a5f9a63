# SPDX-License-Identifier: Apache-2.0
"""[[outdated]] of a policy: what is still allowed, until when, and who still has it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta

from pykexec.attest.verdict import Finding
from pykexec.policy.clause import Clause, either, mappings_at, matches, shown, text_at
from pykexec.policy.model import Claims, Context, Outdated, Policy
from pykexec.policy.table import Table
from pykexec.policy.windows import parse_date

CODE = "policy.outdated"
ENTRIES_MAX = 64


def parse_outdated(root: Table) -> tuple[Outdated, ...]:
    """The tables; PolicyError for one that names nothing."""
    tables = root.tables("outdated")
    if len(tables) > ENTRIES_MAX:
        raise root.fault("outdated", f"{len(tables)} of them, at most {ENTRIES_MAX} are taken")
    return tuple(map(_entry, tables))


def _entry(table: Table) -> Outdated:
    until = table.text("until")
    entry = Outdated(
        table.name(),
        table.texts("versions"),
        table.texts("images"),
        parse_date(table, "until", until) if until else None,
    )
    table.end()
    if not (entry.versions or entry.images):
        raise table.fault("", "names neither versions nor images")
    return entry


def ends(entry: Outdated) -> datetime | None:
    """When it is allowed no more; None for never."""
    if entry.until is None:
        return None
    return datetime.combine(entry.until + timedelta(days=1), time(), UTC)


def _demands(policy: Policy) -> Iterator[str]:
    for entry in policy.outdated:
        what = either((*entry.versions, *entry.images))
        until = f"allowed until {entry.until}" if entry.until else "told, and allowed"
        yield f"{entry.name}: {what} is outdated, {until}"


def _found(policy: Policy, claims: Claims) -> Iterator[str]:
    for entry in policy.outdated:
        if has := _has(entry, policy, claims):
            yield has


def _has(entry: Outdated, policy: Policy, claims: Claims) -> str:
    """What of it the claims have; "" for nothing."""
    version = text_at(claims, "firmware", "version")
    if version and matches(version, entry.versions):
        return f"firmware {shown(version)}"
    bank, applications = text_at(claims, "bank"), mappings_at(claims, "boot", "applications")
    digest = text_at(applications[-1], "authenticode", bank) if applications else ""
    for image in policy.images:
        if image.name in entry.images and digest and image.authenticode.get(bank) == digest:
            return f"image {shown(image.name)}"
    return ""


def _check(policy: Policy, claims: Claims, context: Context) -> Iterator[Finding]:
    for entry in policy.outdated:
        if not (has := _has(entry, policy, claims)):
            continue
        end = ends(entry)
        over = end is not None and context.time >= end
        word = "was allowed" if over else "is allowed"
        until = f", and {word} until {entry.until}" if entry.until else ""
        text = f"{has} is outdated: {shown(entry.name)}{until}"
        yield Finding(CODE, text, refuses=over)


OUTDATED = Clause("outdated", _demands, _found, _check)
