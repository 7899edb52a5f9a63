# SPDX-License-Identifier: Apache-2.0
"""The audit chain: every entry holds the hash of the one before, the last one's is sealed.

An entry's hash is SHA-256 of the canonical JSON (types.canonical) of its action, actor, detail,
previous, seq, subject and time_ms, in UTF-8; previous of the first is 64 zeros. So who changes,
drops or inserts an entry changes all hashes after it, and the head's MAC is by the store's key.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from pykexec.server.canonical import canonical, from_ms, to_ms
from pykexec.server.errors import Tampered
from pykexec.server.keys.keys import Keys
from pykexec.server.store import tables
from pykexec.server.store.records import AuditCheck, AuditEntry
from pykexec.server.store.view import View

START = "0" * 64
_FAULTS_MAX = 100
_ROWS_AT_ONCE = 1000


class Chain:
    """The locked head of the chain within one transaction; who holds it is alone in writing."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys
        head = tables.audit_head
        row = connection.execute(select(head).with_for_update()).one_or_none()
        if row is None:
            raise Tampered("the audit chain has no head")
        _check_head(keys, row)
        self._seq = row.seq
        self._hash = row.hash
        self._new: list[dict[str, object]] = []

    def append(
        self,
        time: datetime,
        actor: str,
        action: str,
        subject: str,
        detail: Mapping[str, object] | None = None,
    ) -> AuditEntry:
        """Add an entry; it is written by finish()."""
        self._seq += 1
        previous = self._hash
        content = dict(detail or {})
        self._hash = _hash_of(self._seq, to_ms(time), actor, action, subject, content, previous)
        self._new.append(
            {
                "seq": self._seq,
                "time": time,
                "actor": actor,
                "action": action,
                "subject": subject,
                "detail": canonical(content),
                "previous": previous,
                "hash": self._hash,
            }
        )
        when = from_ms(to_ms(time))
        return AuditEntry(self._seq, when, actor, action, subject, content, previous, self._hash)

    def finish(self) -> None:
        """Write the entries and the new head."""
        if not self._new:
            return
        self._connection.execute(insert(tables.audit), self._new)
        self._connection.execute(
            update(tables.audit_head), head_values(self._keys, self._seq, self._hash)
        )
        self._new = []


def head_values(keys: Keys, seq: int, last: str) -> dict[str, object]:
    """Columns of the head."""
    return {"seq": seq, "hash": last, "mac": keys.seal("audit_head", seq, last)}


def entries(
    view: View,
    before: int | None,
    limit: int,
    actor: str | None,
    action: str | None,
    subject: str | None,
) -> tuple[AuditEntry, ...]:
    """Newest first."""
    table = tables.audit
    query = select(table).order_by(table.c.seq.desc()).limit(limit)
    if before is not None:
        query = query.where(table.c.seq < before)
    for column, value in ((table.c.actor, actor), (table.c.action, action)):
        if value is not None:
            query = query.where(column == value)
    if subject is not None:
        query = query.where(table.c.subject == subject)
    return tuple(_entry(row) for row in view.connection.execute(query))


def export(view: View) -> Iterator[str]:
    """Lines of JSON: what the hash covers, and the hash."""
    for row in _in_order(view.connection):
        entry = _entry(row)
        covered = _covered(
            entry.seq,
            to_ms(entry.time),
            entry.actor,
            entry.action,
            entry.subject,
            entry.detail,
            entry.previous,
        )
        yield canonical({**covered, "hash": entry.hash})


def verify(view: View, anchor: tuple[int, str] | None) -> AuditCheck:
    """Walk the whole chain; view must be one consistent view."""
    faults: list[str] = []
    seq, last, count = 0, START, 0
    anchored = anchor is None or anchor == (0, START)
    for row in _in_order(view.connection):
        count += 1
        if row.seq != seq + 1:
            faults.append(f"entries {seq + 1} to {row.seq - 1} are missing")
        elif row.previous != last:
            faults.append(f"entry {row.seq} does not follow entry {seq}")
        if (fault := _fault(row)) is not None:
            faults.append(f"entry {row.seq} {fault}")
        anchored = anchored or anchor == (row.seq, row.hash)
        seq, last = row.seq, row.hash
    head = view.connection.execute(select(tables.audit_head)).one_or_none()
    if head is None:
        faults.append("the chain has no head")
    else:
        faults.extend(_head_faults(view.keys, head, seq, last))
    if anchor is not None and not anchored:
        faults.append(f"the chain has no entry {anchor[0]} with the hash that was noted")
    return AuditCheck(count, last, tuple(faults[:_FAULTS_MAX]))


def check_head(view: View) -> None:
    """Tampered unless the chain's head is ours."""
    row = view.connection.execute(select(tables.audit_head)).one_or_none()
    if row is None:
        raise Tampered("the audit chain has no head")
    _check_head(view.keys, row)


def _head_faults(keys: Keys, head: Row[Any], seq: int, last: str) -> Iterator[str]:
    try:
        _check_head(keys, head)
    except Tampered as error:
        yield str(error)
    if head.seq > seq:
        yield f"entries {seq + 1} to {head.seq} are missing at the end"
    elif (head.seq, head.hash) != (seq, last):
        yield f"the chain ends with entry {seq}, its head says {head.seq}"


def _check_head(keys: Keys, head: Row[Any]) -> None:
    if not hmac.compare_digest(head.mac, keys.seal("audit_head", head.seq, head.hash)):
        raise Tampered("the head of the audit chain is not as this server wrote it")


def _fault(row: Row[Any]) -> str | None:
    try:
        detail = json.loads(row.detail)
    except ValueError:
        return "has a detail that is no JSON"
    if canonical(detail) != row.detail:
        return "has a detail that was rewritten"
    time_ms = to_ms(row.time)
    content = (row.seq, time_ms, row.actor, row.action, row.subject, detail, row.previous)
    return None if _hash_of(*content) == row.hash else "was changed"


def _hash_of(
    seq: int,
    time_ms: int,
    actor: str,
    action: str,
    subject: str,
    detail: Mapping[str, object],
    previous: str,
) -> str:
    covered = _covered(seq, time_ms, actor, action, subject, detail, previous)
    return hashlib.sha256(canonical(covered).encode()).hexdigest()


def _covered(
    seq: int,
    time_ms: int,
    actor: str,
    action: str,
    subject: str,
    detail: Mapping[str, object],
    previous: str,
) -> dict[str, object]:
    return {
        "seq": seq,
        "time_ms": time_ms,
        "actor": actor,
        "action": action,
        "subject": subject,
        "detail": dict(detail),
        "previous": previous,
    }


def _in_order(connection: Connection) -> Iterator[Row[Any]]:
    query = select(tables.audit).order_by(tables.audit.c.seq)
    return iter(connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(query))


def _entry(row: Row[Any]) -> AuditEntry:
    return AuditEntry(
        row.seq,
        row.time,
        row.actor,
        row.action,
        row.subject,
        json.loads(row.detail),
        row.previous,
        row.hash,
    )
